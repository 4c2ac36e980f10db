// A thenable that answers with itself.
// expect: limit fuel
function main() {
  const forever = { then: (resolve) => resolve(forever) };
  return Promise.resolve(forever);
}
