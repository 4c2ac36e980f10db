// Starts as many calls as it can and waits for none.
// expect: value 64
// limits: {"fuel": 1000000000}
function main() {
  let started = 0;
  for (let i = 0; i < 1000; i++) tools.wait(0).catch(() => 0);
  for (;;) {
    tools.wait(0).catch(() => 0);
    if (++started >= 64) return started;
  }
}
