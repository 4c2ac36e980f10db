// A text that is kept at every length.
// expect: limit memory
function main() {
  const all = [];
  for (let text = "x"; ; text = (text + text).slice(0, 100000)) all.push(text + all.length + "!".repeat(1000));
}
