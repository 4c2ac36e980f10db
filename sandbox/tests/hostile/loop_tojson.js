// A result that never becomes JSON.
// expect: limit fuel
function main() {
  return {
    toJSON() {
      for (;;) {}
    },
  };
}
