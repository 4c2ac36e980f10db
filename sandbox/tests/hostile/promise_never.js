// Waits for what nobody will settle.
// expect: exception nothing will ever settle
function main() {
  return new Promise(() => {});
}
