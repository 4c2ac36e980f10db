// A result that claims new keys for ever.
// expect: limit fuel
function main() {
  return new Proxy({}, {
    ownKeys() {
      for (;;) {}
    },
  });
}
