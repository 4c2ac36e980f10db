// Imports a module of the system.
// expect: refused could not load module
import * as os from "os";
function main() {
  return os.exec(["id"]);
}
