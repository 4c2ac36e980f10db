// Calls skills and tools it was not granted, by name.
// expect: value ["ReferenceError","ReferenceError","ReferenceError"]
async function main() {
  const names = [];
  for (const ask of [() => skills.delete_everything(), () => tools.sell(), () => tools["constructor"]()]) {
    try {
      await ask();
    } catch (error) {
      names.push(error.name);
    }
  }
  return names;
}
