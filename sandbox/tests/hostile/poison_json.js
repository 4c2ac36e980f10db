// Replaces JSON, and with it what the bindings write.
// expect: value {"where":"honest"}
function main() {
  JSON.stringify = () => '{"where":"forged"}';
  JSON.parse = () => "forged";
  return place("honest");
}
