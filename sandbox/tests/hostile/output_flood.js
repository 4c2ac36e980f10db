// A result of more than allowed.
// expect: limit output
function main() {
  return "x".repeat(300000);
}
