// Promises that wait for each other without end.
// expect: limit memory
// limits: {"fuel": 1000000000}
function main() {
  const all = [];
  for (;;) all.push(new Promise(() => {}).then(() => 1), new Array(200).fill(0));
}
