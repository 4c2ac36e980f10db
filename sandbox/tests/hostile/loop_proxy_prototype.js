// A prototype chain that is made up while it is searched.
// expect: limit fuel
function main() {
  const chain = new Proxy({}, { getPrototypeOf: () => chain, has: (_, key) => { for (;;) key in {}; } });
  return "x" in chain;
}
