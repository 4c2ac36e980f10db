// A result whose property never comes.
// expect: limit fuel
function main() {
  return {
    get value() {
      for (;;) {}
    },
  };
}
