// Is ended while other calls are under way.
// expect: stopped
async function main() {
  await Promise.allSettled([tools.wait(1), tools.stop(), tools.interact()]);
  for (;;) await tools.interact();
}
