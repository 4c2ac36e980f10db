// Waits for the first of none.
// expect: exception nothing will ever settle
async function main() {
  return await Promise.race([]);
}
