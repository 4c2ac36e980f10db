'use strict';
// The rules of survival, without a running world.

const test = require('node:test');
const assert = require('node:assert');
const registry = require('prismarine-registry')('1.16.5');
const Item = require('prismarine-item')(registry);
const { Vec3 } = require('vec3');
const { Knowledge, SMELT_TICKS } = require('../rules/knowledge');
const { CraftingBook } = require('../rules/crafting');
const { Furnace } = require('../rules/furnaces');
const { PlayerWindows, Stores } = require('../rules/windows');
const { Body } = require('../rules/body');
const { Land } = require('../land');
const documents = require('../documents');

const knowledge = new Knowledge(registry);
const make = (name, count = 1) => new Item(registry.itemsByName[name].id, count);
const id = (name) => (name === null ? -1 : registry.itemsByName[name].id);

/** A player with an inventory and no connection: what is sent is kept. */
function somebody() {
  const sent = [];
  return { sent, id: 1, inventory: { slots: Array(46).fill(null) }, _client: { write: (name, data) => sent.push([name, data]) } };
}

test('a block without the tool it needs drops nothing', () => {
  const drops = (block, held) => knowledge.drops(block, held, () => 0.5);
  assert.deepEqual(drops('stone', undefined), []);
  assert.deepEqual(drops('stone', 'wooden_pickaxe'), [['cobblestone', 1]]);
  assert.deepEqual(drops('iron_ore', 'wooden_pickaxe'), []);
  assert.deepEqual(drops('iron_ore', 'stone_pickaxe'), [['iron_ore', 1]]);
  assert.deepEqual(drops('diamond_ore', 'stone_pickaxe'), []);
  assert.deepEqual(drops('oak_log', undefined), [['oak_log', 1]]);
  assert.deepEqual(drops('oak_leaves', undefined), []);
  assert.equal(knowledge.leastTool('diamond_ore'), 'iron_pickaxe');
  assert.equal(knowledge.leastTool('oak_log'), undefined);
  assert.equal(knowledge.dropOf('coal_ore'), 'coal');
});

test('a recipe works wherever it lies in the grid, and mirrored', () => {
  const book = new CraftingBook(registry);
  const result = (rows) => {
    const made = book.result(rows.map((row) => row.map(id)));
    return made && `${made.count} ${knowledge.itemName(made.id)}`;
  };
  const [log, plank, stick, stone, no] = ['oak_log', 'oak_planks', 'stick', 'cobblestone', null];
  assert.equal(result([[no, no], [no, log]]), '4 oak_planks');
  assert.equal(result([[no, plank, no], [no, plank, no], [no, no, no]]), '4 stick');
  assert.equal(result([[stone, stone, stone], [no, stick, no], [no, stick, no]]), '1 stone_pickaxe');
  const axe = [[stone, stone, no], [stone, stick, no], [no, stick, no]];
  assert.equal(result(axe), '1 stone_axe');
  assert.equal(result(axe.map((row) => [...row].reverse())), '1 stone_axe');
  assert.equal(result([[stone, stick], [no, no]]), null);
  assert.equal(result([[no, no], [no, no]]), null);
});

test('a furnace burns fuel while it smelts and stops when there is no room', () => {
  const furnace = new Furnace(make);
  furnace.slots = [make('iron_ore', 10), make('coal', 1), null];
  for (let tick = 0; tick < SMELT_TICKS; tick++) furnace.tick();
  assert.deepEqual([furnace.slots[0].count, furnace.slots[1], furnace.slots[2].name], [9, null, 'iron_ingot']);
  // One coal smelts eight.
  for (let tick = 0; tick < 12 * SMELT_TICKS; tick++) furnace.tick();
  assert.deepEqual([furnace.slots[0].count, furnace.slots[2].count], [2, 8]);
  furnace.slots[1] = make('coal', 1);
  furnace.slots[2].count = 64;
  for (let tick = 0; tick < 2 * SMELT_TICKS; tick++) furnace.tick();
  assert.deepEqual([furnace.slots[0].count, furnace.slots[1].count], [2, 1]);
});

test('crafting uses up what lies in the grid', () => {
  const player = somebody();
  const windows = new PlayerWindows(player, registry, new Stores(make), () => assert.fail('nothing is thrown'));
  windows.give(make('oak_log', 3));
  const click = (slot, mouseButton = 0) => windows.click({ slot, mouseButton, mode: 0 });
  assert.ok(click(36) && click(1, 1) && click(36));
  assert.equal(windows.get(0).name, 'oak_planks');
  assert.ok(click(0));
  assert.deepEqual([windows.cursor.name, windows.cursor.count, windows.get(0), player.inventory.slots[36].count], ['oak_planks', 4, null, 2]);
  // A result never takes what is put on it.
  assert.ok(click(0));
  assert.equal(windows.cursor.count, 4);
  // What is left in the grid and in the hand returns when the window closes.
  click(2, 1);
  windows.close();
  assert.equal(player.inventory.slots.reduce((sum, item) => sum + (item?.name === 'oak_planks' ? item.count : 0), 0), 4);
});

test('clicks that no window has are refused', () => {
  const windows = new PlayerWindows(somebody(), registry, new Stores(make), () => {});
  for (const click of [{ slot: 99, mode: 0 }, { slot: 1.5, mode: 0 }, { slot: 36, mode: 5 }, { slot: -7, mode: 0 }]) {
    assert.equal(windows.click({ mouseButton: 0, ...click }), false, JSON.stringify(click));
  }
});

test('a full inventory takes no more, and says how much is left', () => {
  const windows = new PlayerWindows(somebody(), registry, new Stores(make), () => {});
  assert.equal(windows.give(make('dirt', 64 * 36 - 10)), 0);
  assert.equal(windows.room(make('dirt')), 10);
  assert.equal(windows.room(make('stone')), 0);
  assert.equal(windows.give(make('dirt', 25)), 15);
  assert.equal(windows.give(make('stone', 1)), 1);
});

test('what a chest holds falls out when the chest is dug away', () => {
  const stores = new Stores(make);
  const windows = new PlayerWindows(somebody(), registry, stores, () => {});
  windows.give(make('coal', 5));
  const place = new Vec3(1, 2, 3);
  windows.openBlock('chest', place);
  assert.ok(windows.click({ slot: 54, mouseButton: 0, mode: 1 }));
  windows.close();
  assert.deepEqual(stores.remove(place).map((item) => `${item.count} ${item.name}`), ['5 coal']);
  assert.deepEqual(stores.remove(place), []);
});

/** A body at a height, in what the blocks there are. */
function body(blocks) {
  const player = { ...somebody(), position: new Vec3(0.5, 20, 0.5), onGround: true };
  return [player, new Body(player, blocks, knowledge)];
}

test('a fall hurts by its height, but not into water', () => {
  for (const [below, health] of [['air', 15], ['water', 20]]) {
    const [player, it] = body((at) => (at.y < 13 ? below : 'air'));
    it.tick();
    player.onGround = false;
    for (let y = 19; y >= 12; y--) {
      player.position.y = y;
      it.tick();
    }
    player.onGround = true;
    it.tick();
    assert.equal(player.health, health, below);
  }
});

test('hunger comes from effort, heals when full and starves when empty', () => {
  const [player, it] = body(() => 'air');
  it.exhaust(4 * 5 + 4 * 20);
  player.health = 10;
  for (let tick = 0; tick < 30; tick++) it.tick();
  assert.equal(player.food, 0);
  const { health } = player;
  for (let tick = 0; tick < 200; tick++) it.tick();
  assert.ok(player.health < health);
  assert.equal(it.cause, 'starved');
  player.food = 20;
  player.foodSaturation = 20;
  const starved = player.health;
  for (let tick = 0; tick < 200; tick++) it.tick();
  assert.ok(player.health > starved);
});

test('breath ends under water', () => {
  const [player, it] = body(() => 'water');
  for (let tick = 0; tick < 400; tick++) it.tick();
  assert.ok(player.health < 20);
  assert.equal(it.cause, 'drowned');
});

test('food takes a second and a half, and only when hungry', () => {
  const [player, it] = body(() => 'air');
  const beef = make('cooked_beef', 1);
  let eaten = 0;
  it.eat(beef, () => { eaten += 1; return true; });
  for (let tick = 0; tick < 40; tick++) it.tick();
  assert.equal(eaten, 0);
  player.food = 6;
  it.eat(beef, () => { eaten += 1; return true; });
  for (let tick = 0; tick < 31; tick++) it.tick();
  assert.equal(eaten, 0);
  it.tick();
  assert.deepEqual([eaten, player.food], [1, 14]);
});

test('equal seeds make equal land, with trees at the start and all ores below', () => {
  const [one, other, third] = [new Land(registry, 5), new Land(registry, 5), new Land(registry, 6)];
  const { x, z } = one.spawn();
  assert.deepEqual(one.spawn(), other.spawn());
  const dump = (land) => land.chunk(x >> 4, z >> 4).dump().toString('base64');
  assert.equal(dump(one), dump(other));
  assert.notEqual(dump(one), dump(third));
  const found = new Set();
  for (let cx = -2; cx <= 2; cx++) {
    for (let cz = -2; cz <= 2; cz++) {
      const chunk = one.chunk((x >> 4) + cx, (z >> 4) + cz);
      const at = { x: 0, y: 0, z: 0 };
      for (at.x = 0; at.x < 16; at.x++) {
        for (at.z = 0; at.z < 16; at.z++) {
          for (at.y = 0; at.y < 70; at.y++) found.add(registry.blocksByStateId[chunk.getBlockStateId(at)].name);
        }
      }
    }
  }
  for (const name of ['bedrock', 'stone', 'dirt', 'grass_block', 'oak_log', 'oak_leaves', 'coal_ore', 'iron_ore', 'gold_ore', 'diamond_ore']) {
    assert.ok(found.has(name), name);
  }
});

test('the documents agree with the data of the game', () => {
  const tasks = new Set(documents.tasks().map((task) => task.name));
  const recipes = documents.recipes(knowledge);
  assert.deepEqual(new Set(recipes.map((recipe) => recipe.task)), tasks);
  const of = (task) => recipes.find((recipe) => recipe.task === task);
  assert.deepEqual(of('collect_oak_planks').consumes, [{ item: 'oak_log', count: 1 }]);
  assert.deepEqual(of('collect_stick').provides, [{ item: 'stick', count: 4 }]);
  assert.deepEqual(of('craft_iron_pickaxe').consumes, [{ item: 'iron_ingot', count: 3 }, { item: 'stick', count: 2 }]);
  assert.deepEqual(of('craft_stone_pickaxe').nearby, ['placed_crafting_table']);
  assert.deepEqual(of('collect_iron_ore').tools, ['stone_pickaxe']);
});
