// Halves of characters in lines, errors and results.
// expect: value false
// logs: 1
function main() {
  console.log("\ud800", "\udfff");
  return "\ud800".isWellFormed();
}
