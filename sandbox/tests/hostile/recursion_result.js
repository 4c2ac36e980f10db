// A result too deep for whoever reads it.
// expect: limit output
function main() {
  let value = 1;
  for (let i = 0; i < 300; i++) value = { value };
  return value;
}
