// Arguments that contain themselves.
// expect: exception circular
function main() {
  const where = {};
  where.where = where;
  return place(where);
}
