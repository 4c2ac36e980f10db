// Leaves while calls that never end are under way.
// expect: value "gone"
function main() {
  for (let i = 0; i < 64; i++) tools.never();
  return "gone";
}
