'use strict';
// What goes wrong around a player: a kick, land that did not arrive, holes.

const test = require('node:test');
const assert = require('node:assert');
const { ManualClock } = require('../clock');

const clock = new ManualClock();
clock.install();
const { World } = require('../world');

const world = new World(clock);

/** Where the player stands, on the server's side. */
const feet = () => world.small.guests.values().next().value.player.position.floored();

/** Lets so many milliseconds pass in the game. */
const pass = (ms) => clock.until(new Promise((resolve) => { setTimeout(resolve, ms); }));

/** Fills the places from the player's feet, at offsets from `from` to `to`, with a block; those of the player stay free. */
async function fill(from, to, name) {
  const here = feet();
  for (let dx = from[0]; dx <= to[0]; dx++) {
    for (let dy = from[1]; dy <= to[1]; dy++) {
      for (let dz = from[2]; dz <= to[2]; dz++) {
        const own = dx === 0 && dz === 0 && (dy === 0 || dy === 1);
        if (!own) world.small.ground.set(here.offset(dx, dy, dz), name);
      }
    }
  }
  await pass(500);
}

test('a kick in the middle of an action ends the episode with the server\'s words, and a reset begins another', async () => {
  await world.reset(21);
  const [{ player }] = world.small.guests;
  clock.add(() => player.kick('you are not on the list'), 300, [], false);
  const { ended, failed, state } = await world.step('mine_block', { block: 'oak_log', count: 5 });
  assert.deepEqual(ended, { kind: 'lost', cause: 'the server kicked the player: you are not on the list' });
  assert.match(failed, /kicked the player/);
  assert.equal(state.health, 20);
  assert.deepEqual((await world.step('wait', {})).ended.kind, 'lost');
  assert.equal((await world.reset(21)).state.health, 20);
});

test('where the land has not arrived, actions fail with a reason and the state is still told', async () => {
  await world.reset(22);
  const { bot } = world.player;
  for (const { chunkX, chunkZ } of [...bot.world.getColumns()]) bot.world.unloadColumn(chunkX, chunkZ);
  for (const [action, args] of [
    ['mine_block', { block: 'oak_log' }], ['go_to', { thing: 'oak_log' }], ['place_item', { item: 'dirt' }],
    ['explore_until', { thing: 'oak_log', seconds: 5 }], ['go_to_place', { x: 0, z: 500 }], ['surface', {}],
  ]) {
    const { state, failed, ended } = await world.step(action, args);
    assert.equal(ended, null, action);
    if (action !== 'surface') assert.equal(typeof failed, 'string', action);
    assert.deepEqual([state.health, state.seen.oak_log, state.biome], [20, null, 'unknown']);
  }
  assert.notEqual((await world.reset(22)).state.biome, 'unknown');
});

test('no world lets the player appear where it would wait for land for ever', async () => {
  const { Land, roundsWrong } = require('../land');
  const registry = require('prismarine-registry')('1.16.5');
  for (let seed = 0; seed < 200; seed++) {
    const { x, z } = new Land(registry, seed).spawn();
    assert.ok(![x, z].some((at) => roundsWrong(Math.floor(at))), `seed ${seed}`);
    assert.ok([x, z].every((at) => Math.floor(at / 16) === Math.trunc(at) >> 4), `seed ${seed}`);
  }
  assert.equal((await world.reset(1048801882)).state.health, 20);
});

test('a player in a hole digs a way out, and walled in by bedrock is told that there is none', async () => {
  await world.reset(23);
  const { y } = feet();
  await fill([-3, 0, -3], [3, 6, 3], 'dirt');
  const { failed } = await world.step('go_to_place', { x: feet().x + 12, z: feet().z });
  assert.equal(failed, null);
  assert.ok(Math.abs(feet().y - y) < 12);
  await fill([-2, -2, -2], [2, 3, 2], 'bedrock');
  const before = feet();
  for (const [action, args] of [
    ['go_to_place', { x: before.x + 12, z: before.z }], ['explore_until', { thing: 'diamond_ore', seconds: 20 }],
    ['mine_block', { block: 'oak_log' }],
  ]) {
    const stuck = await world.step(action, args);
    assert.equal(typeof stuck.failed, 'string', action);
    assert.equal(stuck.ended, null, action);
  }
  assert.deepEqual(feet(), before);
});
