// Looks for the functions that the bindings are made of.
// expect: value []
function main() {
  const found = ["call", "start", "log", "host", "std", "os", "process", "require", "scriptArgs", "Worker", "fetch",
    "print", "loadScript", "WebAssembly", "Atomics", "gc", "performance", "setTimeout"];
  return found.filter((name) => typeof globalThis[name] !== "undefined");
}
