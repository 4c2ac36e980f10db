// Asks for an answer of more than allowed.
// expect: exception at most
function main() {
  return big(2 << 20);
}
