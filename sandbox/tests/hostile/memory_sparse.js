// An array of a billion holes, filled.
// expect: limit memory
// limits: {"fuel": 1000000000}
function main() {
  return new Array(1e9).fill(0).length;
}
