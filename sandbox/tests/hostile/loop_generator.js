// A generator that never runs dry, spread.
// expect: limit fuel
function main() {
  function* ones() {
    for (;;) yield* [];
  }
  return [...ones()];
}
