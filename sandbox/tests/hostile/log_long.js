// Lines of a megabyte.
// expect: value "done"
// logs: 3
function main() {
  const line = "ü".repeat(500000);
  for (let i = 0; i < 3; i++) console.error(line);
  return "done";
}
