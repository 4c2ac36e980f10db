// A result that is a hundred thousand levels deep.
// expect: contained
function main() {
  let value = [];
  for (let i = 0; i < 100000; i++) value = [value];
  return value;
}
