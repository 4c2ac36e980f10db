// A regular expression of a hundred thousand groups.
// expect: exception
function main() {
  return new RegExp("(".repeat(100000) + ")".repeat(100000)).test("x");
}
