'use strict';
// The small world as a server in real time, which clients of Minecraft 1.16.5 can join without an account:
//
//     node serve.js [--port 25565] [--seed 1]

// A library moves the cursor.
const print = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);
const { SmallWorld, VERSION } = require('./server');

function number(name, otherwise) {
  const at = process.argv.indexOf(`--${name}`);
  if (at < 0) return otherwise;
  const value = Number(process.argv[at + 1]);
  if (!Number.isInteger(value) || value < 0 || (name === 'port' && value > 65535)) {
    process.stderr.write(`--${name} is a whole number\n`);
    process.exit(1);
  }
  return value;
}

const world = new SmallWorld(number('seed', 1), number('port', 25565));
world.ready.then(() => {
  print(`Minecraft ${VERSION} on 127.0.0.1:${world.serv.listeningPort}\n`);
}, (error) => {
  process.stderr.write(`cannot serve: ${error.message}\n`);
  process.exit(1);
});
process.on('uncaughtException', (error) => process.stderr.write(`${error.stack}\n`));
