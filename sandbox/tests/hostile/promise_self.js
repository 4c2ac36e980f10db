// A promise that waits for itself.
// expect: exception
function main() {
  const self = Promise.resolve().then(() => self);
  return self;
}
