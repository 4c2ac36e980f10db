// Answers that come in another order than they were asked for.
// expect: value [3,1,2]
async function main() {
  return await Promise.all([tools.wait(3), tools.wait(1), tools.wait(2)]);
}
