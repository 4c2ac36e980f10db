// A loop that lets other promises run in every turn.
// expect: limit fuel
async function main() {
  for (;;) await null;
}
