'use strict';
// The small world and a player in it, by the actions that skills are made of.

const zlib = require('node:zlib');
const test = require('node:test');
const assert = require('node:assert');
const { ManualClock } = require('../clock');

const clock = new ManualClock();
clock.install();
const { World } = require('../world');

const world = new World(clock);
const held = () => world.last.inventory;

/** Puts items into the player's inventory. */
async function give(items) {
  const [{ windows }] = world.small.guests;
  const { itemsByName } = world.small.serv.registry;
  for (const [name, count] of Object.entries(items)) windows.give(new windows.Item(itemsByName[name].id, count));
  windows.resend();
  await clock.until(new Promise((resolve) => { setTimeout(resolve, 100); }));
}

async function does(action, args) {
  const { failed } = await world.step(action, args);
  assert.equal(failed, null, `${action} ${JSON.stringify(args)}`);
}

async function fails(action, args, reason, missing = null) {
  const step = await world.step(action, args);
  assert.match(step.failed, reason);
  if (missing !== null) assert.deepEqual(step.missing, missing);
}

test('from nothing to a stone pickaxe', async () => {
  await world.reset(7);
  await fails('mine_block', { block: 'stone' }, /stone needs a wooden_pickaxe or better; you carry none/,
    [{ item: { item: 'wooden_pickaxe', count: 1, have: 0 } }]);
  await fails('craft_item', { item: 'oak_planks' }, /1 oak_planks needs 1 oak_log; you have 0 oak_log/,
    [{ item: { item: 'oak_log', count: 1, have: 0 } }]);
  const first = await world.step('mine_block', { block: 'oak_log', count: 4 });
  assert.deepEqual([first.failed, first.reward, first.unlocked], [null, 1, ['collect_oak_log']]);
  await does('craft_item', { item: 'oak_planks', count: 16 });
  await does('craft_item', { item: 'stick', count: 4 });
  await fails('craft_item', { item: 'wooden_pickaxe' }, /no crafting_table within 32 blocks; place one first/,
    [{ nearby: { kind: 'placed_crafting_table' } }]);
  assert.equal(world.last.near.placed_crafting_table, false);
  await does('craft_item', { item: 'crafting_table' });
  const placed = await world.step('place_item', { item: 'crafting_table' });
  assert.deepEqual([placed.failed, placed.state.achievements.place_crafting_table], [null, 1]);
  assert.equal(placed.state.near.placed_crafting_table, true);
  assert.equal(placed.state.seen.crafting_table.distance < 5, true);
  await does('craft_item', { item: 'wooden_pickaxe' });
  await does('mine_block', { block: 'stone', count: 3 });
  await does('craft_item', { item: 'stone_pickaxe' });
  assert.deepEqual([held().stone_pickaxe, held().cobblestone, held().oak_log, held().crafting_table], [1, 0, 0, 0]);
});

test('iron is smelted in a furnace, and things rest in a chest', async () => {
  await world.reset(8);
  await give({ furnace: 1, chest: 1, iron_ore: 2, coal: 1, oak_planks: 5 });
  await fails('smelt_item', { item: 'iron_ore' }, /no furnace within 32 blocks/);
  await does('place_item', { item: 'furnace' });
  await fails('smelt_item', { item: 'iron_ore', count: 3 }, /you have 2 iron_ore, not 3/);
  await does('smelt_item', { item: 'iron_ore', count: 2 });
  assert.deepEqual([held().iron_ingot, held().iron_ore, held().coal], [2, 0, 0]);
  await does('place_item', { item: 'chest' });
  await does('use_chest', { do: 'put', item: 'iron_ingot', count: 2 });
  assert.deepEqual([held().iron_ingot, world.last.chest.iron_ingot], [0, 2]);
  await fails('use_chest', { do: 'take', item: 'iron_ingot', count: 3 }, /there are 2 iron_ingot to take, not 3/);
  await does('use_chest', { do: 'take', item: 'iron_ingot', count: 1 });
  assert.equal(held().iron_ingot, 1);
});

test('a full inventory stops the digging and says so', async () => {
  await world.reset(9);
  await give({ sand: 64 * 36 });
  await fails('mine_block', { block: 'oak_log', count: 2 }, /the inventory is full/);
});

test('a death ends the episode with its cause, and a reset begins another', async () => {
  await world.reset(10);
  const [{ body, player }] = world.small.guests;
  player.health = 3;
  clock.add(() => body.hurt(5, 'slain by a zombie'), 300, [], false);
  const { ended, failed } = await world.step('wait', {});
  assert.deepEqual(ended, { kind: 'died', cause: 'slain by a zombie' });
  assert.equal(failed, 'slain by a zombie');
  assert.equal((await world.reset(10)).state.health, 20);
});

test('zombies come at night and go at dawn', async () => {
  await world.reset(11);
  const { serv, mobs } = world.small;
  const zombies = () => [...mobs.all].filter((mob) => mob.kind === 'zombie').length;
  serv.time = 14000;
  let seen = 0;
  for (let second = 0; second < 60 && seen === 0; second++) {
    await world.step('wait', {});
    seen = zombies();
  }
  assert.ok(seen > 0);
  assert.equal(world.last.time, 'night');
  serv.time = 23500;
  await world.step('wait', {});
  assert.equal(zombies(), 0);
});

test('equal seeds and actions give equal worlds', async () => {
  const lives = [];
  for (let life = 0; life < 2; life++) {
    const states = [(await world.reset(12)).state];
    for (const [action, args] of [['mine_block', { block: 'oak_log' }], ['wait', {}], ['explore_until', { thing: 'sheep', seconds: 20 }]]) {
      states.push((await world.step(action, args)).state);
    }
    lives.push(JSON.stringify(states));
  }
  assert.equal(lives[0], lives[1]);
});


test('the picture from above is a PNG that shows land, water or trees, and changes with the player', async () => {
  await world.reset(7);
  const { SIDE } = require('../picture');
  const pixels = () => {
    const { mime, data } = world.frame();
    const file = Buffer.from(data, 'base64');
    assert.deepEqual([mime, file.readUInt32BE(16), file.readUInt32BE(20)], ['image/png', SIDE, SIDE]);
    const rows = zlib.inflateSync(file.subarray(41, 41 + file.readUInt32BE(33)));
    assert.equal(rows.length, SIDE * (1 + 3 * SIDE));
    return rows;
  };
  const first = pixels();
  const colours = new Set();
  for (let at = 1; at + 3 < first.length; at += 18) colours.add(first.readUIntBE(at, 3));
  assert.ok(colours.size > 10, `${colours.size} colours`);
  // The player stands in the middle.
  const middle = (SIDE >> 1) * (1 + 3 * SIDE) + 1 + 3 * (SIDE >> 1);
  assert.equal(first.readUIntBE(middle, 3), 0xffffff);
  await does('explore_until', { thing: 'stone', seconds: 10 });
  assert.notDeepEqual(pixels(), first);
});
