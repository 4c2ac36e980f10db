// Closures that hold on to each other.
// expect: limit memory
// limits: {"fuel": 1000000000}
function main() {
  let hold = () => {};
  for (;;) {
    const before = hold, weight = new Array(200).fill(0);
    hold = () => [before, weight];
  }
}
