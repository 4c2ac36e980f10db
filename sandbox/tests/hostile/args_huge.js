// Arguments of several megabytes.
// expect: exception at most
// limits: {"fuel": 1000000000}
function main() {
  return place("x".repeat(2 << 20));
}
