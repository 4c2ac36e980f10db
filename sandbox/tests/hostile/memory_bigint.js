// A number of a hundred million digits.
// expect: exception BigInt
function main() {
  return String((2n ** 300000000n) % 7n);
}
