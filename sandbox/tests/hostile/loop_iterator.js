// An iterator that is never done, given to a built-in.
// expect: limit fuel
function main() {
  return new Set({ [Symbol.iterator]: () => ({ next: () => ({ done: false, value: 1 }) }) }).size;
}
