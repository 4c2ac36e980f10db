// A buffer of a gibibyte.
// expect: limit memory
function main() {
  return new ArrayBuffer(1 << 30).byteLength;
}
