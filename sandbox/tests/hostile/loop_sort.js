// A native sort whose comparison never decides.
// expect: limit fuel
function main() {
  for (;;) new Array(20000).fill(1).sort(() => 1);
}
