// Backtracking inside a native replace.
// expect: limit fuel
function main() {
  return ("x".repeat(60) + "y").replace(/(x*x*)*z/g, "");
}
