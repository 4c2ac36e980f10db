'use strict';
// The actions of the world: their schemas, their time limits in game ticks, and what carries them out.

const gather = require('./gather');
const make = require('./make');
const move = require('./move');
const { ANIMALS } = require('../rules/mobs');
const { SMELTING, FUEL } = require('../rules/knowledge');

const BLOCKS = [
  'oak_log', 'oak_leaves', 'dirt', 'grass_block', 'sand', 'stone', 'cobblestone', 'coal_ore', 'iron_ore', 'gold_ore', 'redstone_ore',
  'lapis_ore', 'diamond_ore', 'crafting_table', 'furnace', 'chest',
];
const CRAFTS = [
  'oak_planks', 'stick', 'crafting_table', 'wooden_pickaxe', 'wooden_sword', 'wooden_axe', 'wooden_shovel', 'stone_pickaxe',
  'stone_sword', 'stone_axe', 'stone_shovel', 'furnace', 'chest', 'torch', 'ladder', 'iron_pickaxe', 'iron_sword', 'iron_axe',
  'bucket', 'shield', 'iron_helmet', 'iron_chestplate', 'iron_leggings', 'iron_boots', 'golden_pickaxe', 'diamond_pickaxe',
  'diamond_sword',
];
const PLACES = ['crafting_table', 'furnace', 'chest', 'torch', 'dirt', 'cobblestone', 'oak_planks', 'oak_sapling'];
const MOBS = [...ANIMALS, 'zombie'];

const choice = (values) => ({ type: 'string', enum: values });
const count = (most) => ({ type: 'integer', minimum: 1, maximum: most, default: 1 });

/** An action: its description, the properties of its arguments with those that may be left out, its limit and its program. */
const ACTIONS = {
  mine_block: {
    description: 'walk to the nearest blocks of this kind within 32 blocks, dig count of them with the best tool you carry, and pick '
      + 'up what they drop.',
    input: { block: choice(BLOCKS), count: count(16) }, optional: ['count'],
    ticks: ({ count: n }) => 800 + 500 * n, run: gather.mineBlock,
  },
  explore_until: {
    description: 'walk through the land until a block or creature of this kind is within 32 blocks, at most so many seconds.',
    input: { thing: choice([...BLOCKS, ...MOBS, 'water']), seconds: { type: 'integer', minimum: 5, maximum: 300, default: 90 } },
    optional: ['seconds'], ticks: ({ seconds }) => 20 * seconds + 1300, run: move.exploreUntil,
  },
  craft_item: {
    description: 'craft at least count of this. A crafting table within 32 blocks is used where the recipe needs one.',
    input: { item: choice(CRAFTS), count: count(64) }, optional: ['count'],
    ticks: () => 2400, run: make.craftItem,
  },
  smelt_item: {
    description: 'smelt count of this in a furnace within 32 blocks, with fuel that you carry.',
    input: { item: choice(Object.keys(SMELTING)), count: count(16), fuel: choice(Object.keys(FUEL)) }, optional: ['count', 'fuel'],
    ticks: ({ count: n }) => 1000 + 220 * n, run: make.smeltItem,
  },
  place_item: {
    description: 'put a block that you carry on the ground beside you.',
    input: { item: choice(PLACES) }, optional: [], ticks: () => 600, run: make.placeItem,
  },
  kill_mob: {
    description: 'go to the nearest creature of this kind within 48 blocks, hit it with the best weapon you carry until it is dead, '
      + 'and pick up what it drops.',
    input: { mob: choice(MOBS) }, optional: [], ticks: () => 1200, run: gather.killMob,
  },
  go_to: {
    description: 'walk next to the nearest block or creature of this kind within 32 blocks.',
    input: { thing: { type: 'string' } }, optional: [], ticks: () => 1300, run: move.goTo,
  },
  go_to_place: {
    description: 'walk to a place.',
    input: { x: { type: 'integer', minimum: -30000, maximum: 30000 }, z: { type: 'integer', minimum: -30000, maximum: 30000 } }, optional: [],
    ticks: () => 4000, run: move.goToPlace,
  },
  equip: {
    description: 'take this in your hand, or put armour on.',
    input: { item: { type: 'string' } }, optional: [], ticks: () => 200, run: move.equip,
  },
  use_chest: {
    description: 'put count of an item into the nearest chest, take it out, or look what is in it.',
    input: { do: choice(['put', 'take', 'look']), item: { type: 'string' }, count: count(64) }, optional: ['item', 'count'],
    ticks: () => 1300, run: make.useChest,
  },
  eat: { description: 'eat the best food that you carry.', ticks: () => 200, run: move.eat },
  flee: { description: 'run away from the nearest hostile creature.', ticks: () => 400, run: move.flee },
  surface: { description: 'swim up and to the nearest land.', ticks: () => 500, run: move.surface },
  wait: { description: 'wait one second.', ticks: () => 40, run: move.wait },
};

/** The actions as the protocol describes them. */
function describe() {
  return Object.entries(ACTIONS).map(([name, { description, input, optional }]) => {
    if (input === undefined) return { name, description };
    const required = Object.keys(input).filter((key) => !optional.includes(key));
    return { name, description, input: { type: 'object', properties: input, required, additionalProperties: false } };
  });
}

/** The arguments with the defaults of what is left out. */
function complete(action, args = {}) {
  const { input = {} } = action;
  const defaults = Object.entries(input).filter(([, schema]) => schema.default !== undefined).map(([name, schema]) => [name, schema.default]);
  return { ...Object.fromEntries(defaults), ...args };
}

module.exports = { ACTIONS, BLOCKS, CRAFTS, MOBS, describe, complete };
