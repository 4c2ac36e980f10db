// A script that never gets to its function.
// expect: limit fuel
while (true) {}
function main() {}
