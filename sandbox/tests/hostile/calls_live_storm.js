// Makes the live view ask the host in every turn.
// expect: limit host_calls
function main() {
  for (;;) {
    interact();
    observe().health;
  }
}
