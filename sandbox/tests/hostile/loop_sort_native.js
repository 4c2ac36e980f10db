// A native sort of many values, over and over, without a comparison.
// expect: limit fuel
function main() {
  const list = new Float64Array(200000);
  for (;;) list.fill(1).sort();
}
