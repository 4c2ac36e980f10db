// A recursion that catches its end and goes on.
// expect: limit fuel
function dig() {
  try {
    dig();
  } catch {
    dig();
  }
}
function main() {
  for (;;) dig();
}
