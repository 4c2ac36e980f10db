// Asks for a view's own target through traps that see it.
// expect: exception
function main() {
  const view = observe();
  Object.setPrototypeOf(view, { leaked: true });
  return view.leaked;
}
