// Proxies of proxies.
// expect: contained
// limits: {"fuel": 1000000000}
function main() {
  let value = {};
  for (let i = 0; i < 50000; i++) value = new Proxy(value, {});
  return value.missing ?? null;
}
