// Waits for a page that changes.

// Time of the last mutation. A click may cause changes before the first call of settle.
let changedAt = -Infinity;
const observer = new MutationObserver(() => { changedAt = performance.now(); });
const watched = new WeakSet();
const watch = () => {
  const found = roots();
  for (const root of found) {
    if (watched.has(root)) continue;
    watched.add(root);
    observer.observe(root, { subtree: true, childList: true, attributes: true, characterData: true });
  }
  return found.filter(isDocument);
};
watch();

// Resolves when nothing has changed for `quiet` ms, or after `most` ms.
const settle = (quiet, most) => new Promise((done) => {
  const begun = performance.now();
  let pages = watch();
  const moving = (page) => animationsOf(page).some((one) => one.playState === "running" && one.effect?.getTiming().iterations !== Infinity);
  const look = () => {
    const now = performance.now();
    if (now - begun > most) return done();
    if (readyStateOf(document) === "loading") return setTimeout(look, quiet);
    if (now - changedAt >= quiet) {
      pages = watch();
      if (!pages.some((page) => readyStateOf(page) === "loading" || moving(page))) return done();
    }
    setTimeout(look, quiet / 2);
  };
  setTimeout(look, 0);
});
