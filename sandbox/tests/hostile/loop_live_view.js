// A loop over the world that waits for what will not happen.
// expect: limit fuel
function main() {
  while (observe().health > 0) {}
}
