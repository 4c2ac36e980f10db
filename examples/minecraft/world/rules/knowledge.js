'use strict';
// What Minecraft's data files say of blocks and items, and the few facts that they lack: smelting, fuel and the drops of leaves.

// Input of a furnace, and what becomes of it.
const SMELTING = {
  iron_ore: 'iron_ingot', gold_ore: 'gold_ingot', cobblestone: 'stone', sand: 'glass', oak_log: 'charcoal', beef: 'cooked_beef',
  porkchop: 'cooked_porkchop', mutton: 'cooked_mutton', chicken: 'cooked_chicken',
};
// Ticks that smelting one item takes.
const SMELT_TICKS = 200;
// Ticks that one item of fuel burns.
const FUEL = { coal: 1600, charcoal: 1600, oak_planks: 300, oak_log: 300, crafting_table: 300, chest: 300, stick: 100 };
// Drops that depend on chance: item and probability.
const CHANCE_DROPS = { oak_leaves: [['stick', 0.04], ['oak_sapling', 0.05], ['apple', 0.02]], grass: [], tall_grass: [] };
// Damage of a hit by tool, by its material and kind; a bare hand does 1.
const HITS = {
  sword: { wooden: 4, golden: 4, stone: 5, iron: 6, diamond: 7 }, axe: { wooden: 7, golden: 7, stone: 9, iron: 9, diamond: 9 },
};

/** A thing that stands in the world, apart from the item of its name. */
const standing = (name) => `placed_${name}`;

class Knowledge {
  constructor(registry) {
    this.registry = registry;
    this.Recipe = require('prismarine-recipe')(registry).Recipe;
  }

  item(name) {
    return this.registry.itemsByName[name];
  }

  itemName(id) {
    return this.registry.items[id]?.name;
  }

  /** Names of the tools with which a block drops something; an empty list if any will do. */
  toolsFor(blockName) {
    const tools = this.registry.blocksByName[blockName]?.harvestTools;
    return tools === undefined ? [] : Object.keys(tools).map((id) => this.itemName(Number(id))).filter(Boolean);
  }

  /** The poorest tool that gets something out of a block: "stone_pickaxe". Undefined if the hand does. */
  leastTool(blockName) {
    const order = ['wooden', 'stone', 'iron', 'diamond', 'netherite'];
    const tools = this.toolsFor(blockName);
    const rank = (name) => order.findIndex((material) => name.startsWith(material));
    return tools.filter((name) => rank(name) >= 0).sort((a, b) => rank(a) - rank(b))[0];
  }

  /** What a block drops when it is dug with the held item: a list of names and counts. */
  drops(blockName, heldName, random) {
    const tools = this.toolsFor(blockName);
    if (tools.length > 0 && !tools.includes(heldName)) return [];
    if (CHANCE_DROPS[blockName] !== undefined) {
      return CHANCE_DROPS[blockName].filter(([, chance]) => random() < chance).map(([item]) => [item, 1]);
    }
    const drops = (this.registry.blockLoot[blockName]?.drops ?? []).filter((drop) => !drop.silkTouch);
    const many = { redstone_ore: [4, 5], lapis_ore: [4, 9] }[blockName];
    return drops.map((drop) => {
      const [least, most] = many ?? [1, 1];
      return [drop.item, least + Math.floor(random() * (most - least + 1))];
    });
  }

  /** The item that one gets by mining a block. */
  dropOf(blockName) {
    return this.drops(blockName, this.leastTool(blockName), () => 0.999)[0]?.[0];
  }

  /** The recipes of an item. */
  recipes(itemName) {
    const item = this.item(itemName);
    return item === undefined ? [] : this.Recipe.find(item.id, null);
  }

  /** A recipe's ingredients by name and count. */
  ingredients(recipe) {
    const used = {};
    for (const { id, count } of recipe.delta) if (count < 0) used[this.itemName(id)] = -count;
    return used;
  }

  damage(itemName) {
    const [material, kind] = (itemName ?? '').split('_');
    return HITS[kind]?.[material] ?? 1;
  }

  /** Food points and saturation of an item, or undefined. */
  food(itemName) {
    return this.registry.foodsByName[itemName];
  }
}

module.exports = { Knowledge, SMELTING, SMELT_TICKS, FUEL, standing };
