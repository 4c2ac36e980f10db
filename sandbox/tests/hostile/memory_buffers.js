// Buffers without end.
// expect: limit memory
function main() {
  const all = [];
  for (;;) all.push(new Uint8Array(100000).fill(1));
}
