// An endless loop.
// expect: limit fuel
function main() {
  for (;;) {}
}
