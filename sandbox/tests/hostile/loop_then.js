// A chain of promises that never ends.
// expect: limit fuel
function main() {
  const next = () => Promise.resolve().then(next);
  return next();
}
