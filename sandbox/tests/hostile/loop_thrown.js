// An error whose message never comes.
// expect: limit fuel
function main() {
  throw {
    get message() {
      for (;;) {}
    },
  };
}
