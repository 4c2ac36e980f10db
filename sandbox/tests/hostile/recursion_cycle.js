// A result that contains itself.
// expect: exception circular
function main() {
  const a = { b: {} };
  a.b.a = a;
  return a;
}
