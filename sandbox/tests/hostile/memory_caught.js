// Catches that it has no memory left, and asks for more.
// expect: limit memory
function main() {
  const all = [];
  for (let refused = 0; ; ) {
    try {
      all.push(new Uint8Array(1 << 20));
    } catch (error) {
      if (++refused > 100) throw error;
    }
  }
}
