// An error whose message is a megabyte.
// expect: exception
// limits: {"fuel": 1000000000}
function main() {
  throw new Error("x".repeat(1 << 20));
}
