// Registered symbols without end.
// expect: limit memory
// limits: {"fuel": 1000000000}
function main() {
  const all = [];
  for (let i = 0; ; i++) all.push(Symbol.for("x".repeat(5000) + i));
}
