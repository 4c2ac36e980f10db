// Microtasks that breed.
// expect: limit fuel
function main() {
  const breed = () => queueMicrotask(breed);
  breed();
  return new Promise(() => {});
}
