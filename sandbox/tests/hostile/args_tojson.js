// An argument that never becomes JSON.
// expect: limit fuel
function main() {
  return place([{ toJSON() { for (;;) {} } }]);
}
