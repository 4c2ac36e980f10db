// The functions that the driver calls. Their results hold no halves of characters, which JSON cannot carry.

// The agent neither reads nor uses a page of the browser's own, such as a warning of a certificate: its buttons change what the
// browser trusts. Neither a page nor its scripts can have this address.
const ownPage = () => location.protocol !== "chrome-error:" ? null
  : "the browser shows an error of its own and no page of a site: it cannot be reached, or its certificate is not valid; open another page, or go back";

const called = (act) => (...given) => {
  const own = ownPage();
  if (own) return { error: own };
  try { return plain(act(...given)); } catch (error) { return { error: plain(cut(String(error), 300)) }; }
};

// The elements of the page, or how many elements are to be examined for closed shadow roots first.
const look = (most) => {
  const count = unknown(most);
  return count > 0 ? { unknown: count } : see();
};

globalThis.sojourn = {
  see: called(see), look: called(look), text: called(text), locate: called(locate), prepare: called(prepare), choose: called(choose), scroll: called(scroll), mark: called(mark),
  settle, renumber, ownPage, record, element: alive,
  examine: (index) => unknowns[index], reveal: (host, root) => { closedRoots.set(host, root); },
  configure: (given) => { settings = { ...settings, ...given }; },
};
