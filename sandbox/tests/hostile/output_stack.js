// An error with a forged stack.
// expect: exception forged
function main() {
  const error = new Error("forged");
  error.stack = "    at main (skill.js:999999999999999999999:1)\n".repeat(1000);
  throw error;
}
