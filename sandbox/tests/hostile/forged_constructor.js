// Reaches for a compiler through constructors.
// expect: value 5
function main() {
  const ways = [
    () => Function("return 1")(),
    () => (() => {}).constructor("return 1")(),
    () => (async () => {}).constructor("return 1")(),
    () => observe.constructor("return 1")(),
    () => console.log.constructor.constructor("return 1")(),
  ];
  let refused = 0;
  for (const way of ways) {
    try {
      way();
    } catch {
      refused++;
    }
  }
  return refused;
}
