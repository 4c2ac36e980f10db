// Calls the host from inside what the host's answer sets off.
// expect: value 3
async function main() {
  let n = 0;
  const again = () => (++n < 3 ? tools.interact().then(again) : n);
  return await tools.interact().then(() => { n = 0; return again(); });
}
