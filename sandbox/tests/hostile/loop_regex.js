// A regular expression that tries every way of splitting a text.
// expect: limit fuel
function main() {
  return /^(a+)+$/.test("a".repeat(40) + "b");
}
