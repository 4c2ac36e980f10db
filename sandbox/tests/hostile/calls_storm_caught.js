// Asks the host without end and catches what it says.
// expect: limit host_calls
async function main() {
  for (;;) {
    try {
      interact();
      await tools.interact();
    } catch {}
  }
}
