// Catches that the host ended it.
// expect: stopped
async function main() {
  for (;;) {
    try {
      stop();
    } catch {
    } finally {
      interact();
    }
  }
}
