'use strict';
// Minecraft as a world of Sojourn: one JSON object a line on standard input and output (tools/PROCESS.md).
//
//     node main.js                            a small world of its own, for each episode
//     node main.js --server HOST:PORT         a server elsewhere, with --version 1.16.5 where it does not say its own
//     node main.js --undocumented             neither tasks nor recipes

const NEEDED = 22;
if (Number(process.versions.node.split('.')[0]) < NEEDED) {
  process.stderr.write(`Node.js ${NEEDED} or newer is needed; this is ${process.versions.node}\n`);
  process.exit(1);
}

const { ManualClock, SystemClock } = require('./clock');

/** Settings from the command line. */
function settings(args) {
  const known = { server: null, version: null, undocumented: false };
  for (let at = 0; at < args.length; at++) {
    const name = args[at].replace(/^--/, '');
    if (!Object.hasOwn(known, name) || name === args[at]) throw new Error(`unknown argument \`${args[at]}\`; known are --server, --version, --undocumented`);
    known[name] = name === 'undocumented' ? true : args[++at];
    if (known[name] === undefined) throw new Error(`--${name} needs a value`);
  }
  if (known.server !== null) {
    const [, host, port = '25565'] = /^(.+?)(?::(\d+))?$/.exec(known.server) ?? [];
    if (!host || Number(port) > 65535) throw new Error(`\`${known.server}\` is no address of the form HOST:PORT`);
    known.server = { host, port: Number(port) };
  }
  return known;
}

function main() {
  // Libraries print to standard output, which belongs to the protocol.
  const print = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr);
  const { server, version, undocumented } = settings(process.argv.slice(2));
  const clock = server ? new SystemClock() : new ManualClock();
  clock.install();
  const { World } = require('./world');
  const { describe } = require('./describe');
  const world = new World(clock, { server, version, undocumented });
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    // A library's stray error ends neither the world nor the episode; what waits for it runs into its time limit.
    process.on(event, (error) => process.stderr.write(`${event}: ${error?.stack ?? error}\n`));
  }
  const answers = {
    describe: () => ({ environment: describe({ server, undocumented }) }),
    reset: ({ seed }) => world.reset(seed),
    step: ({ action, args }) => world.step(action, args),
    frame: () => world.frame(),
  };
  let queue = Promise.resolve();
  const answer = async (line) => {
    let request;
    try {
      request = JSON.parse(line);
    } catch {
      process.stderr.write('a line is not JSON\n');
      return;
    }
    const { id, method, params } = request;
    if (answers[method] === undefined) {
      if (id !== undefined) print(`${JSON.stringify({ id, error: `unknown method \`${method}\`` })}\n`);
      return;
    }
    try {
      print(`${JSON.stringify({ id, result: await answers[method](params ?? {}) })}\n`);
    } catch (error) {
      print(`${JSON.stringify({ id, error: error.message })}\n`);
    }
  };
  let rest = '';
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    for (const line of lines) if (line.trim() !== '') queue = queue.then(() => answer(line));
  });
  process.stdin.on('end', () => queue.then(() => process.exit(0)));
}

try {
  main();
} catch (error) {
  process.stderr.write(`${error.code === 'MODULE_NOT_FOUND' ? `${error.message.split('\n')[0]}; \`sojourn environments install minecraft\` installs the packages` : error.message}\n`);
  process.exit(1);
}
