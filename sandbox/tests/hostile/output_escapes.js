// A result that grows sixfold when it is written.
// expect: limit output
// limits: {"fuel": 1000000000}
function main() {
  return "\u0001".repeat(60000);
}
