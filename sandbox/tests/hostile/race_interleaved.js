// Many calls at once that each change what the others show.
// expect: value [20,20]
async function main() {
  const before = observe().inventory.wood;
  await Promise.all(Array.from({ length: 20 }, () => tools.interact()));
  const view = observe();
  return [view.inventory.wood - before, observe().inventory.wood];
}
