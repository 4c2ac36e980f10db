// A loop that begins again when it is ended.
// expect: limit fuel
function main() {
  const again = () => {
    try {
      for (;;) {}
    } finally {
      again();
    }
  };
  again();
}
