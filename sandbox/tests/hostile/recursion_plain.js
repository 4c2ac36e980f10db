// A function that calls itself.
// expect: exception Maximum call stack size exceeded
const dig = (n) => 1 + dig(n + 1);
function main() {
  return dig(0);
}
