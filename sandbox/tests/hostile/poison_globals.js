// Replaces and deletes global names.
// expect: contained
function main() {
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    try {
      delete globalThis[name];
      globalThis[name] = () => "poison";
    } catch {}
  }
  return 1;
}
