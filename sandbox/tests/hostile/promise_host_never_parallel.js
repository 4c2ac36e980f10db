// Waits for many calls that never end.
// expect: limit wall
// limits: {"wall": 0.03}
async function main() {
  await Promise.all([tools.never(), tools.never(), tools.wait(1)]);
}
