// Asks the host without end.
// expect: limit host_calls
function main() {
  for (;;) interact();
}
