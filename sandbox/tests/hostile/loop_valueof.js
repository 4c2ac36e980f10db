// A number that is never known.
// expect: limit fuel
function main() {
  return +{
    valueOf() {
      for (;;) {}
    },
  };
}
