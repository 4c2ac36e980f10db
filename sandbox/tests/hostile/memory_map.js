// A map without end.
// expect: limit memory
// limits: {"fuel": 1000000000}
function main() {
  const map = new Map();
  for (let i = 0; ; i++) map.set(i, new Array(100).fill(i));
}
