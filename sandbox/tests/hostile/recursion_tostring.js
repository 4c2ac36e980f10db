// A value that needs itself to become a text.
// expect: exception Maximum call stack size exceeded
function main() {
  const self = { toString: () => `${self}` };
  return `${self}`;
}
