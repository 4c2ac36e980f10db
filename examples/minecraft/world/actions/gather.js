'use strict';
// Mining, hunting, picking up.

const { Failure, lacks, goals, SIGHT } = require('../player');
const { GoalReach } = require('../paths');

const { GoalNear } = goals;

/** Goes to the things that lie near a place, where one can get at them, and picks them up. */
async function pickUp(run, place, distance = 5) {
  const { bot } = run;
  const missed = new Set();
  await run.sleep(12);
  for (let tries = 0; tries < 5; tries++) {
    const here = bot.entity.position;
    const things = Object.values(bot.entities).filter((one) => one.name === 'item' && !missed.has(one.id)
      && one.position.distanceTo(place) <= distance && Math.abs(one.position.y - here.y) < 3);
    if (things.length === 0) return;
    const [thing] = things.sort((a, b) => a.position.distanceTo(here) - b.position.distanceTo(here));
    const { x, y, z } = thing.position;
    await run.walk(new GoalNear(x, y, z, 1), 120).catch((error) => {
      if (run.stopped) throw error;
      missed.add(thing.id);
    });
    await run.sleep(6);
    if (bot.entities[thing.id] === thing && thing.position.distanceTo(bot.entity.position) < 1.6) missed.add(thing.id);
  }
}

/** The carried tool that digs a block fastest, among those with which it drops something. */
function bestTool(player, blockName) {
  const block = player.bot.registry.blocksByName[blockName];
  const able = player.knowledge.toolsFor(blockName);
  const items = player.bot.inventory.items().filter((item) => able.length === 0 || able.includes(item.name));
  const speed = (item) => {
    const material = player.bot.registry.materials?.[block.material];
    return material?.[item.type] ?? 1;
  };
  return items.sort((a, b) => speed(b) - speed(a)).find((item) => able.length > 0 || speed(item) > 1);
}

async function mineBlock(run, player, { block: name, count }) {
  const { bot, knowledge } = player;
  const item = knowledge.dropOf(name);
  if (item === undefined) throw new Failure(`${name} drops nothing`);
  const able = knowledge.toolsFor(name);
  if (able.length > 0 && bestTool(player, name) === undefined) {
    const least = knowledge.leastTool(name);
    throw new Failure(`${name} needs a ${least} or better; you carry none`, [lacks.item(least, 1, 0)]);
  }
  const before = player.count(item);
  const got = () => player.count(item) - before;
  const unreachable = new Set();
  const only = () => (got() > 0 ? `only ${got()} of ${count}: ` : '');
  while (got() < count) {
    if (player.isFull() && !bot.inventory.items().some((one) => one.name === item && one.count < one.stackSize)) {
      throw new Failure(`${only()}the inventory is full`);
    }
    // What lies below is a shaft to climb out of.
    const effort = ({ x, y, z }) => Math.hypot(x - here.x, z - here.z) + Math.abs(y - here.y) * (y < here.y ? 2 : 1);
    const here = bot.entity.position;
    const [place] = player.blocks(name, 48).filter((position) => !unreachable.has(`${position}`)).sort((a, b) => effort(a) - effort(b));
    if (place === undefined) {
      if (unreachable.size > 0) throw new Failure(`${only()}no ${name} can be reached`);
      throw new Failure(`${only()}no ${name} within ${SIGHT} blocks`, [lacks.seen(name)]);
    }
    try {
      await run.walk(new GoalReach(place, bot.world));
      await digAt(run, player, place, name);
    } catch (error) {
      if (run.stopped) throw new Failure(`${only()}${run.stopped.message}`);
      unreachable.add(`${place}`);
      if (unreachable.size > 3) throw new Failure(`${only()}no ${name} can be reached: ${error.message}`);
      continue;
    }
    await pickUp(run, place);
  }
}

/** Digs the block at a place with the best tool. */
async function digAt(run, player, place, name) {
  const { bot } = player;
  const block = bot.blockAt(place);
  if (block === null || (name && block.name !== name)) return;
  await run.equip(bestTool(player, block.name));
  if (!bot.canDigBlock(block)) throw new Failure('it is out of reach');
  await run.within(700, bot.dig(bot.blockAt(place), true), 'digging');
}

async function killMob(run, player, { mob: kind }) {
  const { bot, knowledge } = player;
  const target = player.nearestCreature(kind);
  if (target === undefined) throw new Failure(`no ${kind} within 48 blocks`, [lacks.seen(kind)]);
  const weapon = bot.inventory.items().sort((a, b) => knowledge.damage(b.name) - knowledge.damage(a.name))[0];
  if (knowledge.damage(weapon?.name) > 1) await run.equip(weapon);
  let place = target.position.clone();
  while (bot.entities[target.id] === target && target.isValid !== false) {
    place = target.position.clone();
    if (place.distanceTo(bot.entity.position) > 3) {
      await run.walk(new GoalNear(place.x, place.y, place.z, 2), 100).catch((error) => { if (run.stopped) throw error; });
      if (place.distanceTo(bot.entity.position) > 12) await run.sleep(5);
      continue;
    }
    await run.within(40, bot.lookAt(place.offset(0, 1, 0), true), 'turning');
    bot.attack(target);
    await run.sleep(13);
  }
  await pickUp(run, place, 4);
}

module.exports = { mineBlock, killMob, pickUp, digAt, bestTool };
