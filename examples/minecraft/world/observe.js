'use strict';
// What the player observes: the state for skills and conditions, and a short text for the model. As VOYAGER does, it shows biome,
// time, health, hunger, position, equipment, inventory, blocks and creatures nearby, and chests.

const { SIGHT, HOSTILE } = require('./player');
const { Sight } = require('./sight');
const { standing } = require('./rules/knowledge');

// Kinds of blocks of which the state says where the nearest one is.
const SEEN = [
  'oak_log', 'stone', 'dirt', 'sand', 'water', 'lava', 'coal_ore', 'iron_ore', 'gold_ore', 'redstone_ore', 'diamond_ore',
  'crafting_table', 'furnace', 'chest',
];
// Kinds of which the state also says whether there is one, a condition that small models write without fail, by the names that recipes use.
const NEAR = [
  ...['crafting_table', 'furnace', 'chest'].map((kind) => [standing(kind), kind]), ['water', 'water'], ['lava', 'lava'],
];
// Items that the state counts even when there are none, so that a skill can compare them.
const COUNTED = [
  'oak_log', 'oak_planks', 'stick', 'crafting_table', 'wooden_pickaxe', 'wooden_sword', 'wooden_axe', 'wooden_shovel', 'cobblestone',
  'dirt', 'sand', 'stone_pickaxe', 'stone_sword', 'stone_axe', 'stone_shovel', 'furnace', 'coal', 'charcoal', 'torch', 'chest', 'iron_ore',
  'iron_ingot', 'iron_pickaxe', 'iron_sword', 'iron_axe', 'bucket', 'shield', 'iron_chestplate', 'gold_ore', 'gold_ingot', 'redstone',
  'lapis_lazuli', 'diamond', 'diamond_pickaxe', 'diamond_sword', 'glass', 'stone', 'oak_sapling', 'apple', 'beef', 'cooked_beef',
  'porkchop', 'cooked_porkchop', 'mutton', 'cooked_mutton', 'chicken', 'cooked_chicken', 'leather', 'white_wool', 'feather', 'rotten_flesh',
];

function phase(time) {
  if (time < 12000) return 'day';
  if (time < 13000) return 'dusk';
  return time < 23000 ? 'night' : 'dawn';
}

/** The state. `achievements` counts what was done in the episode, `seconds` of game time have passed in it. */
function state(player, achievements, seconds) {
  const { bot } = player;
  const here = bot.entity.position;
  const inventory = Object.fromEntries(COUNTED.map((name) => [name, 0]));
  for (const item of bot.inventory.items()) inventory[item.name] = (inventory[item.name] ?? 0) + item.count;
  player.sight ??= new Sight(bot, SEEN, SIGHT);
  const found = player.sight.look();
  const seen = Object.fromEntries(SEEN.map((name) => {
    const place = found.get(name);
    return [name, place ? relative(place.offset(0.5, 0, 0.5), here) : null];
  }));
  const creatures = player.creatures().filter(({ distance }) => distance <= SIGHT).slice(0, 8)
    .map(({ entity }) => ({ kind: entity.name, hostile: HOSTILE.includes(entity.name), ...relative(entity.position, here) }));
  const { x, y, z } = here.floored();
  return {
    health: Math.round(bot.health), food: bot.food, breath: Math.min(20, bot.oxygenLevel ?? 20),
    position: { x, y, z }, biome: player.biome(), time: phase(bot.time.timeOfDay ?? 0), seconds,
    in_water: bot.blockAt(here)?.name === 'water', held: bot.heldItem?.name ?? 'nothing',
    armor: [5, 6, 7, 8].map((slot) => bot.inventory.slots[slot]?.name).filter(Boolean),
    free_slots: bot.inventory.emptySlotCount(), inventory, seen,
    near: Object.fromEntries(NEAR.map(([name, kind]) => [name, seen[kind] !== null])), creatures, chest: player.chest ?? {}, achievements: { ...achievements },
  };
}

function relative(place, here) {
  const way = place.minus(here);
  return { distance: Math.round(place.distanceTo(here)), dx: Math.round(way.x), dy: Math.round(way.y), dz: Math.round(way.z) };
}

/** "6 east, 2 north, 1 up". */
function direction({ dx, dy, dz }) {
  const parts = [[dx, 'east', 'west'], [dz, 'south', 'north'], [dy, 'up', 'down']];
  return parts.filter(([by]) => by !== 0).map(([by, plus, minus]) => `${Math.abs(by)} ${by > 0 ? plus : minus}`).join(', ') || 'here';
}

/** The state in a few lines. */
function text(now) {
  const carried = Object.entries(now.inventory).filter(([, count]) => count > 0).map(([name, count]) => `${count} ${name}`);
  const near = Object.entries(now.seen).filter(([, where]) => where).map(([name, where]) => `${name} ${direction(where)}`);
  const creatures = now.creatures.map((one) => `${one.kind} ${direction(one)}`);
  const lines = [
    `It is ${now.time} in the biome ${now.biome}. Health ${now.health} of 20, food ${now.food} of 20${now.breath < 20 ? `, breath ${now.breath} of 20` : ''}.`,
    `You hold ${now.held}. You carry ${carried.join(', ') || 'nothing'}.`,
    `Nearest blocks: ${near.join('; ') || 'none known'}.`,
  ];
  if (creatures.length > 0) lines.push(`Creatures: ${creatures.join('; ')}.`);
  return lines.join('\n');
}

module.exports = { state, text, COUNTED, phase };
