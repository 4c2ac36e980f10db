'use strict';
// A server elsewhere: here the small world in another process, in real time.

const test = require('node:test');
const assert = require('node:assert');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { SystemClock } = require('../clock');
const { World } = require('../world');

/** Starts a server and waits for the port it got. */
async function serve() {
  const server = spawn(process.execPath, [path.join(__dirname, '../serve.js'), '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await new Promise((resolve) => { server.stdout.once('data', (data) => resolve([`${data}`])); });
  return { server, port: Number(/:(\d+)/.exec(line)[1]) };
}

test('a player joins, digs, and the end of the server ends the episode', async () => {
  const { server, port } = await serve();
  const world = new World(new SystemClock(), { server: { host: '127.0.0.1', port }, version: '1.16.5' });
  try {
    const { state } = await world.reset(1);
    assert.equal(state.health, 20);
    const step = world.step('mine_block', { block: 'oak_log', count: 3 });
    setTimeout(() => server.kill('SIGKILL'), 1500);
    const { ended, failed, state: last } = await step;
    assert.equal(ended.kind, 'lost');
    assert.match(ended.cause, /the connection to the server was lost/);
    assert.match(failed, /the connection to the server was lost/);
    assert.equal(last.health, 20);
    await assert.rejects(world.reset(2), /cannot play on 127.0.0.1:\d+: nothing listens there; start the server/);
  } finally {
    server.kill('SIGKILL');
    world.leave();
  }
});

test('a version that nobody knows is refused with what to do', async () => {
  const world = new World(new SystemClock(), { server: { host: '127.0.0.1', port: 1 }, version: '9.9.9' });
  await assert.rejects(world.reset(1), /cannot play on 127.0.0.1:1: .*9\.9\.9.*give the server's version/);
});

