// Gives arrays a constructor that hands out others.
// expect: contained
function main() {
  const mine = [];
  Object.defineProperty(Array, Symbol.species, { get: () => function () { return mine; } });
  Array.prototype.constructor = { [Symbol.species]: function () { return mine; } };
  observe().nearby[0];
  interact();
  return mine.length >= 0;
}
