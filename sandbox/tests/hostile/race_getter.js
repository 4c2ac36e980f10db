// Arguments that are different every time they are looked at.
// expect: value [1,2,3]
async function main() {
  let looks = 0;
  const shifty = { get where() { return ++looks; } };
  const answers = await Promise.all([tools.place(shifty), tools.place(shifty), tools.place(shifty)]);
  return answers.map((answer) => answer.where);
}
