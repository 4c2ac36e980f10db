// Takes the iterator of arrays away.
// expect: contained
// logs: 1
function main() {
  Array.prototype[Symbol.iterator] = function* () {
    yield "poison";
  };
  go_to("tree", 1);
  return console.log("x") ?? null;
}
