// A text that doubles.
// expect: exception string too long
function main() {
  let text = "x";
  for (;;) text += text;
}
