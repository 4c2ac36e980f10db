// An array that flattens itself.
// expect: contained
function main() {
  const list = [];
  list.push(list, list);
  return list.flat(Infinity).length;
}
