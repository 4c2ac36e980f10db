// Waits for a call that never ends.
// expect: limit wall
// limits: {"wall": 0.03}
function main() {
  never();
}
