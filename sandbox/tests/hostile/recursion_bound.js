// A function bound a hundred thousand times.
// expect: contained
function main() {
  let f = () => 1;
  for (let i = 0; i < 100000; i++) f = f.bind(null);
  return f();
}
