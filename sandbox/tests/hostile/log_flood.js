// A hundred thousand lines.
// expect: value "done"
// logs: 1000
// limits: {"fuel": 1000000000}
function main() {
  for (let i = 0; i < 3000; i++) console.log("line", i);
  return "done";
}
