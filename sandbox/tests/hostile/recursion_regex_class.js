// A regular expression nested in look-aheads.
// expect: exception
function main() {
  return new RegExp("(?=".repeat(50000) + ")".repeat(50000)).test("x");
}
