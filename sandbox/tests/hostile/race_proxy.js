// A proxy whose keys change between the check and the use.
// expect: contained
function main() {
  let looks = 0;
  const shifty = new Proxy({}, {
    ownKeys: () => (++looks % 2 ? ["where"] : ["secret"]),
    getOwnPropertyDescriptor: () => ({ value: "x", enumerable: true, configurable: true }),
    get: () => "x",
  });
  return Object.keys(place(shifty));
}
