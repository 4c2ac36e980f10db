// More arguments than there are parameters.
// expect: exception takes 1 argument, not 3
function main() {
  return place(1, 2, 3);
}
