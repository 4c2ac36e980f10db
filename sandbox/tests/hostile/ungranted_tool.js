// Calls a tool it was not granted.
// expect: exception chop_tree is not defined
function main() {
  return chop_tree();
}
