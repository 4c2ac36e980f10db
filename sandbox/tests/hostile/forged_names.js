// Names that look like a granted one.
// expect: value 6
async function main() {
  let refused = 0;
  for (const name of ["place ", "place\0", "PLACE", "__proto__", "place/../big", "рlace"]) {
    try {
      await tools[name]({ where: 1 });
    } catch {
      refused++;
    }
  }
  return refused;
}
