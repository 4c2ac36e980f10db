// An argument that JSON does not have.
// expect: exception BigInt
function main() {
  return place(10n);
}
