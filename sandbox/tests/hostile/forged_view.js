// Writes into what it may only look at.
// expect: value ["TypeError","TypeError","TypeError",9]
function main() {
  const errors = [];
  for (const write of [
    () => { observe().health = 100; },
    () => { delete observe().health; },
    () => { Object.defineProperty(observe(), "health", { value: 100 }); },
  ]) {
    try {
      write();
    } catch (error) {
      errors.push(error.name);
    }
  }
  return [...errors, observe().health];
}
