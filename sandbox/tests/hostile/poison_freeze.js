// Freezes everything it can reach.
// expect: value 1
function main() {
  const seen = new Set();
  const freeze = (value) => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) return;
    seen.add(value);
    try {
      for (const key of Reflect.ownKeys(value)) freeze(Object.getOwnPropertyDescriptor(value, key)?.value);
      Object.freeze(value);
    } catch {}
  };
  freeze(globalThis);
  return 1;
}
