// Replaces what every object inherits.
// expect: contained
function main() {
  Object.prototype.toJSON = () => "poison";
  Object.prototype.get = () => "poison";
  Array.prototype.map = Array.prototype.push = () => "poison";
  Promise.prototype.then = null;
  Function.prototype.call = Function.prototype.apply = () => "poison";
  return [1];
}
