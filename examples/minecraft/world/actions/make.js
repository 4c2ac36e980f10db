'use strict';
// Crafting, smelting, placing, chests.

const { Vec3 } = require('vec3');
const { Failure, lacks, goals, SIGHT } = require('../player');
const { SMELTING, SMELT_TICKS, FUEL, standing } = require('../rules/knowledge');
const { digAt } = require('./gather');

const { GoalNear } = goals;

/** Walks to the nearest block of a kind. */
async function approach(run, player, name) {
  const [place] = player.blocks(name);
  if (place === undefined) throw new Failure(`no ${name} within ${SIGHT} blocks; place one first`, [lacks.nearby(standing(name))]);
  if (place.distanceTo(player.bot.entity.position) > 3.5) await run.walk(new GoalNear(place.x, place.y, place.z, 2));
  return player.bot.blockAt(place);
}

/** "3 oak_planks and 2 stick". */
function list(items) {
  return Object.entries(items).map(([name, count]) => `${count} ${name}`).join(' and ');
}

/** The recipe of an item of which the player lacks least. */
function recipeFor(player, name) {
  const item = player.bot.registry.itemsByName[name];
  const recipes = player.bot.recipesAll(item.id, null, true);
  const lacks = (recipe) => Object.entries(player.knowledge.ingredients(recipe))
    .reduce((sum, [one, count]) => sum + Math.max(0, count - player.count(one)), 0);
  return recipes.sort((a, b) => lacks(a) - lacks(b))[0];
}

async function craftItem(run, player, { item: name, count }) {
  const { bot, knowledge } = player;
  const recipe = recipeFor(player, name);
  if (recipe === undefined) throw new Failure(`${name} cannot be crafted`);
  const times = Math.ceil(count / recipe.result.count);
  const needed = {};
  for (const [one, number] of Object.entries(knowledge.ingredients(recipe))) needed[one] = number * times;
  if (Object.entries(needed).some(([one, number]) => player.count(one) < number)) {
    const held = Object.fromEntries(Object.keys(needed).map((one) => [one, player.count(one)]));
    const missing = Object.keys(needed).filter((one) => held[one] < needed[one]).map((one) => lacks.item(one, needed[one], held[one]));
    throw new Failure(`${count} ${name} needs ${list(needed)}; you have ${list(held)}`, missing);
  }
  const table = recipe.requiresTable ? await approach(run, player, 'crafting_table') : null;
  const before = player.count(name);
  for (let made = 0; made < times; made++) await run.within(300, bot.craft(recipe, 1, table), 'crafting');
  await run.sleep(2);
  if (player.count(name) <= before) throw new Failure(player.isFull() ? 'the inventory is full' : 'nothing was made');
}

async function smeltItem(run, player, { item: name, count, fuel }) {
  const { bot } = player;
  const made = SMELTING[name];
  if (made === undefined) throw new Failure(`${name} cannot be smelted; ${Object.keys(SMELTING).join(', ')} can`);
  if (player.count(name) < count) {
    throw new Failure(`you have ${player.count(name)} ${name}, not ${count}`, [lacks.item(name, count, player.count(name))]);
  }
  const enough = (one) => Math.ceil((count * SMELT_TICKS) / FUEL[one]);
  const burns = fuel ? [fuel] : Object.keys(FUEL).filter((one) => one !== name && one !== 'crafting_table' && one !== 'chest');
  const chosen = burns.find((one) => FUEL[one] && player.count(one) >= enough(one));
  if (chosen === undefined) {
    throw new Failure(`there is not enough fuel: it takes ${burns.map((one) => `${enough(one)} ${one}`).join(' or ')}`,
      [lacks.item(burns[0], enough(burns[0]), player.count(burns[0]))]);
  }
  const block = await approach(run, player, 'furnace');
  const furnace = await run.within(100, bot.openFurnace(block), 'opening the furnace');
  const items = bot.registry.itemsByName;
  if (furnace.outputItem()) await run.within(100, furnace.takeOutput(), 'emptying the furnace');
  if (furnace.inputItem() && furnace.inputItem().name !== name) await run.within(100, furnace.takeInput(), 'emptying the furnace');
  if (furnace.fuelItem() && furnace.fuelItem().name !== chosen) await run.within(100, furnace.takeFuel(), 'emptying the furnace');
  await run.within(100, furnace.putFuel(items[chosen].id, null, enough(chosen)), 'putting fuel in');
  await run.within(100, furnace.putInput(items[name].id, null, count), 'putting it in');
  const before = player.count(made);
  for (let waited = 0; waited < count * SMELT_TICKS + 100; waited += 10) {
    if ((furnace.outputItem()?.count ?? 0) >= count) break;
    await run.sleep(10);
  }
  if (!furnace.outputItem()) throw new Failure('nothing was smelted');
  await run.within(100, furnace.takeOutput(), 'taking it out');
  furnace.close();
  await run.sleep(2);
  if (player.count(made) < before + count) throw new Failure(`only ${player.count(made) - before} of ${count} were smelted`);
}

/** Free places around the player with firm ground, the nearest first. */
function freePlaces(bot) {
  const here = bot.entity.position.floored();
  const places = [];
  for (let dx = -3; dx <= 3; dx++) {
    for (let dz = -3; dz <= 3; dz++) {
      for (let dy = -1; dy <= 1; dy++) {
        const place = here.offset(dx, dy, dz);
        const clear = Math.abs(dx) + Math.abs(dz) > 1 || (dx !== 0) !== (dz !== 0);
        const free = ['air', 'cave_air', 'grass'].includes(bot.blockAt(place)?.name);
        if (clear && (dx !== 0 || dz !== 0) && free && bot.blockAt(place.offset(0, -1, 0))?.boundingBox === 'block') places.push(place);
      }
    }
  }
  const distance = (place) => place.distanceTo(here.offset(0, 0.4, 0));
  return places.sort((a, b) => distance(a) - distance(b));
}

async function placeItem(run, player, { item: name }) {
  const { bot } = player;
  if (!bot.registry.blocksByName[name]) throw new Failure(`${name} is no block`);
  if (!player.carried(name)) throw new Failure(`you carry no ${name}`, [lacks.item(name, 1, 0)]);
  let places = freePlaces(bot);
  if (places.length === 0) {
    // In a shaft or a tunnel: make room at the side.
    const here = bot.entity.position.floored();
    for (const [dx, dz] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      const side = bot.blockAt(here.offset(dx, 0, dz));
      if (side?.diggable && side.boundingBox === 'block' && places.length === 0) {
        await digAt(run, player, side.position).catch((error) => { if (run.stopped) throw error; });
        places = freePlaces(bot);
      }
    }
  }
  for (const place of places.slice(0, 6)) {
    await run.equip(player.carried(name));
    const below = bot.blockAt(place.offset(0, -1, 0));
    await run.within(120, bot.placeBlock(below, new Vec3(0, 1, 0)), 'placing').catch((error) => { if (run.stopped) throw error; });
    await run.sleep(2);
    if (bot.blockAt(place)?.name === name) return;
  }
  throw new Failure(`there is no room to place ${name} here`);
}

async function useChest(run, player, { do: what, item: name, count }) {
  const { bot } = player;
  if (what !== 'look' && !bot.registry.itemsByName[name]) throw new Failure(`no item is named ${name}`);
  const block = await approach(run, player, 'chest');
  const chest = await run.within(100, bot.openContainer(block), 'opening the chest');
  player.chest = Object.fromEntries(chest.containerItems().map((item) => [item.name, 0]));
  for (const item of chest.containerItems()) player.chest[item.name] += item.count;
  if (what === 'look') {
    chest.close();
    return;
  }
  const { id } = bot.registry.itemsByName[name];
  const there = what === 'put' ? player.count(name) : player.chest[name] ?? 0;
  if (there < count) throw new Failure(`there ${there === 1 ? 'is' : 'are'} ${there} ${name} to ${what}, not ${count}`);
  await run.within(300, what === 'put' ? chest.deposit(id, null, count) : chest.withdraw(id, null, count), 'moving it');
  player.chest[name] = (player.chest[name] ?? 0) + (what === 'put' ? count : -count);
  chest.close();
  await run.sleep(2);
}

module.exports = { craftItem, smeltItem, placeItem, useChest, freePlaces };
