// JSON that opens a hundred thousand brackets.
// expect: contained
function main() {
  return JSON.parse("[".repeat(100000));
}
