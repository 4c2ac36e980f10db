// An endless loop that catches whatever would end it.
// expect: limit fuel
function main() {
  for (;;) {
    try {
      for (;;) {}
    } catch {
    } finally {
      continue;
    }
  }
}
