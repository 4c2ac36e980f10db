// Arguments that are nested too deeply to read.
// expect: exception cannot be passed on
function main() {
  let where = 1;
  for (let i = 0; i < 200; i++) where = [where];
  return place(where);
}
