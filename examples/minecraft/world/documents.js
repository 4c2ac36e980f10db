'use strict';
// What the world documents: tasks up the technology tree, recipes for the planner, examples of skills. Ingredients, tools and drops
// come from `minecraft-data`, smelting from `rules/knowledge.js`.

const { SMELTING, standing } = require('./rules/knowledge');

const MINED = [
  ['oak_log', 'oak_log'], ['dirt', 'dirt'], ['sand', 'sand'], ['cobblestone', 'stone'], ['coal', 'coal_ore'], ['iron_ore', 'iron_ore'],
  ['gold_ore', 'gold_ore'], ['redstone', 'redstone_ore'], ['diamond', 'diamond_ore'],
];
const CRAFTED = [
  'oak_planks', 'stick', 'crafting_table', 'wooden_pickaxe', 'wooden_sword', 'wooden_axe', 'wooden_shovel', 'stone_pickaxe',
  'stone_sword', 'stone_axe', 'stone_shovel', 'furnace', 'chest', 'torch', 'iron_pickaxe', 'iron_sword', 'iron_axe', 'bucket', 'shield',
  'iron_chestplate', 'diamond_pickaxe', 'diamond_sword',
];
// Crafted things that are materials: one wants several, and other recipes use them up.
const MATERIALS = ['oak_planks', 'stick', 'torch'];
const PLACED = ['crafting_table', 'furnace', 'chest'];
const SMELTED = ['iron_ore', 'sand', 'oak_log', 'gold_ore', 'beef', 'porkchop', 'mutton', 'chicken'];
const HUNTED = { cow: 'beef', pig: 'porkchop', sheep: 'mutton', chicken: 'chicken' };
// Ores that lie deep: what `explore_until` does to find them.
const DEEP = 'it lies deep below the ground; explore_until digs down to look for it';

const NUMBER = { name: 'n', kind: { integer: { min: 1, max: 64 } }, default: 1 };

/** The task that brings an item about. Materials are collected, however they are made: that is the word of the planner's lines. */
const taskOf = (item) => (CRAFTED.includes(item) && !MATERIALS.includes(item) ? `craft_${item}` : `collect_${item}`);

const whether = (name) => `observe().near.${standing(name)} says whether one is there.`;
const article = (name) => `${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name}`;
const words = (name) => name.replaceAll('_', ' ');

function gained(name, description, item, counts) {
  const by = counts ? { param: 'n' } : 1;
  return {
    name, description, achievement: true, parameters: counts ? [NUMBER] : [], goal: { increased: { path: `/inventory/${item}`, by } },
  };
}

function happened(name, description) {
  return { name, description, achievement: true, parameters: [], goal: { increased: { path: `/achievements/${name}`, by: 1 } } };
}

/** The documented tasks, the simplest first. */
function tasks() {
  return [
    ...MINED.map(([item]) => gained(taskOf(item), `collect n more ${item}`, item, true)),
    ...CRAFTED.map((item) => (MATERIALS.includes(item)
      ? gained(taskOf(item), `craft n more ${item}`, item, true) : gained(taskOf(item), `craft ${article(words(item))}`, item, false))),
    ...PLACED.map((item) => happened(`place_${item}`, `place ${article(words(item))}`)),
    ...SMELTED.map((item) => gained(taskOf(SMELTING[item]), `smelt n more ${SMELTING[item]}`, SMELTING[item], true)),
    ...Object.entries(HUNTED).map(([mob, meat]) => gained(`hunt_${mob}`, `kill ${article(mob)} for its ${meat}`, meat, false)),
    happened('kill_zombie', 'kill a zombie'),
    happened('eat_food', 'eat something when you are hungry'),
  ];
}

/** How the tasks are done. */
function recipes(knowledge) {
  const item = (name, count) => ({ item: name, count });
  const mined = MINED.map(([name, block]) => {
    const tool = knowledge.leastTool(block);
    const deep = block.endsWith('_ore') && block !== 'coal_ore';
    return {
      task: taskOf(name), call: `mine_block("${block}")`, target: block, tools: tool ? [tool] : [], provides: [item(name, 1)],
      note: `Find it with explore_until("${block}")${deep ? `; ${DEEP}` : ''}.`,
    };
  });
  const crafted = CRAFTED.map((name) => {
    const [recipe] = knowledge.recipes(name)
      .filter((one) => Object.keys(knowledge.ingredients(one)).every((used) => !/(spruce|birch|jungle|acacia|dark_oak|crimson|warped|blackstone|charcoal|bamboo)/.test(used)));
    const made = recipe.result.count;
    const notes = [...(recipe.requiresTable ? [whether('crafting_table')] : []), ...(made > 1 ? [`That makes ${made} ${name}.`] : [])];
    return {
      task: taskOf(name), call: MATERIALS.includes(name) ? `craft_item("${name}", n)` : `craft_item("${name}")`,
      consumes: Object.entries(knowledge.ingredients(recipe)).map(([used, count]) => item(used, count)),
      nearby: recipe.requiresTable ? [standing('crafting_table')] : [], provides: [item(name, made)],
      ...(notes.length > 0 ? { note: notes.join(' ') } : {}),
    };
  });
  const placed = PLACED.map((name) => ({
    task: `place_${name}`, call: `place_item("${name}")`, consumes: [item(name, 1)], provides: [item(standing(name), 1)],
  }));
  const smelted = SMELTED.map((name) => ({
    task: taskOf(SMELTING[name]), call: `smelt_item("${name}", n)`,
    consumes: name === 'oak_log' ? [item('oak_log', 1), item('oak_planks', 1)] : [item(name, 1), item('coal', 1)],
    nearby: [standing('furnace')], provides: [item(SMELTING[name], 1)],
    note: `${whether('furnace')} ${name === 'oak_log' ? 'n planks burn long enough for n.' : '1 coal burns long enough for 8.'}`,
  }));
  const hunted = Object.entries(HUNTED).map(([mob, meat]) => ({
    task: `hunt_${mob}`, call: `kill_mob("${mob}")`, target: mob, provides: [item(meat, 1)], note: `Find one with explore_until("${mob}").`,
  }));
  return [
    ...mined, ...crafted, ...placed, ...smelted, ...hunted,
    { task: 'kill_zombie', call: 'kill_mob("zombie")', target: 'zombie', note: 'Zombies come at night; wait(30) waits 30 seconds.' },
    { task: 'eat_food', call: 'eat()', consumes: [item('cooked_beef', 1)], note: 'eat() works only when food is below 20.' },
  ];
}

// Examples with imaginary things: they show the pattern and solve no task.
const EXAMPLES = [
  {
    task: 'collect n more reed.\nRequirements: mine_block("reed") needs a reed within reach of you. It gives 1 reed.\nPlan: repeat (find a reed '
      + 'and then mine_block("reed"); explore when there is none) until you have n more reed.\nSkills you can call: none.',
    source: 'function collect_reed(n = 1) {\n  const target = observe().inventory.reed + n;\n'
      + '  for (let i = 0; i < 20 && observe().inventory.reed < target; i++) {\n'
      + '    if (!mine_block("reed", target - observe().inventory.reed)) explore_until("reed");\n  }\n}',
  },
  {
    task: 'craft n more twine.\nRequirements: craft_item("twine", n) needs 1 reed in the inventory (used up). That makes 2 twine.\nPlan: collect '
      + 'until you have 1 reed; then craft_item("twine", n).\nSkills you can call: collect_reed(n).',
    source: 'function collect_twine(n = 1) {\n  const needed = Math.ceil(n / 2);\n'
      + '  if (observe().inventory.reed < needed) collect_reed(needed - observe().inventory.reed);\n  craft_item("twine", n);\n}',
  },
  {
    task: 'craft a basket.\nRequirements: craft_item("basket") needs 1 berry and 2 reed in the inventory (used up) and a placed_loom near '
      + 'you. observe().near.placed_loom says whether one is there.\nPlan: collect until you have 1 loom, 1 berry and 2 reed; then place_loom(); craft_item("basket").\nSkills you can call: '
      + 'collect_reed(n), collect_berry(n), craft_loom(), place_loom().',
    // It follows its plan line: whoever sets the loom up first and then walks to the reed is no longer near it.
    source: 'function craft_basket() {\n  if (observe().inventory.loom < 1) craft_loom();\n'
      + '  if (observe().inventory.berry < 1) collect_berry(1 - observe().inventory.berry);\n'
      + '  if (observe().inventory.reed < 2) collect_reed(2 - observe().inventory.reed);\n'
      + '  if (!observe().near.placed_loom) place_loom();\n  craft_item("basket");\n}',
  },
  {
    task: 'place a loom.\nRequirements: place_item("loom") needs 1 loom in the inventory (used up).\nPlan: collect until you have 1 loom; then '
      + 'place_item("loom").\nSkills you can call: craft_loom().',
    source: 'function place_loom() {\n  if (observe().inventory.loom < 1) craft_loom();\n  place_item("loom");\n}',
  },
];

const WORDING = {
  agent: 'the player', choice_advice: 'Prefer what keeps the player alive, then what better tools need.', nearby: 'near',
  facing: 'within 32 blocks of', seen: 'seen', search: 'explore',
};

/** Names of the tasks that a state counts under `achievements`. */
function counted() {
  return tasks().map((task) => task.name).filter((name) => name.startsWith('place_') || ['kill_zombie', 'eat_food'].includes(name));
}

module.exports = { tasks, recipes, counted, EXAMPLES, WORDING };
