// Arrays without end.
// expect: limit memory
// limits: {"fuel": 1000000000}
function main() {
  const all = [];
  for (;;) all.push(new Array(1000).fill(7));
}
