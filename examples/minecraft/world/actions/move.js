'use strict';
// Walking, exploring, fleeing, and care for oneself.

const { Failure, lacks, goals, SIGHT, HOSTILE } = require('../player');
const { GoalDepth } = require('../paths');

const { GoalNear, GoalNearXZ, GoalXZ } = goals;

// Below this height the deep ores lie.
const DEEP = 12;
const LEG = 24;

/** Where the nearest block or creature of a kind is; undefined if none is known. */
function find(player, kind) {
  const [block] = player.blocks(kind);
  return block ?? player.nearestCreature(kind, SIGHT)?.position;
}

async function goTo(run, player, { thing }) {
  const place = find(player, thing);
  if (place === undefined) throw new Failure(`no ${thing} within ${SIGHT} blocks`, [lacks.seen(thing)]);
  await run.walk(new GoalNear(place.x, place.y, place.z, 2), 1200);
}

async function goToPlace(run, player, { x, z }) {
  for (let leg = 0; leg < 12; leg++) {
    const { position } = player.bot.entity;
    const distance = Math.hypot(x - position.x, z - position.z);
    if (distance < 3) return;
    const part = Math.min(1, LEG / distance);
    const goal = part === 1 ? new GoalXZ(x, z) : new GoalNearXZ(position.x + (x - position.x) * part, position.z + (z - position.z) * part, 4);
    await run.walk(goal, 500);
  }
  throw new Failure('it is too far');
}

async function exploreUntil(run, player, { thing, seconds }) {
  const { bot } = player;
  const until = Date.now() + seconds * 1000;
  if (thing.endsWith('_ore') && find(player, thing) === undefined && bot.entity.position.y > DEEP + 2) {
    await run.walk(new GoalDepth(DEEP), 1200).catch((error) => { if (run.stopped) throw error; });
  }
  let blocked = 0;
  while (find(player, thing) === undefined) {
    if (Date.now() >= until) throw new Failure(`no ${thing} was found in ${seconds} s`);
    if (blocked > 8) throw new Failure('every way is blocked');
    const { position } = bot.entity;
    const [x, z] = [position.x + Math.cos(player.heading) * LEG, position.z + Math.sin(player.heading) * LEG];
    try {
      await run.walk(new GoalNearXZ(x, z, 5), 400);
      blocked = 0;
    } catch (error) {
      if (run.stopped) throw run.stopped;
      blocked += 1;
    }
    // Over water, into walls: another way.
    const moved = bot.entity.position.distanceTo(position);
    if (moved < LEG / 2) player.heading += 1.3;
    else player.heading += (Math.random() - 0.5) * 0.6;
  }
}

async function flee(run, player) {
  const { bot } = player;
  const danger = player.creatures().find(({ entity }) => HOSTILE.includes(entity.name));
  if (danger === undefined) throw new Failure('nothing is there to flee from');
  const away = bot.entity.position.minus(danger.entity.position);
  const angle = Math.atan2(away.z, away.x);
  for (const turn of [0, 0.9, -0.9, 1.8]) {
    const { position } = bot.entity;
    const [x, z] = [position.x + Math.cos(angle + turn) * 20, position.z + Math.sin(angle + turn) * 20];
    try {
      await run.walk(new GoalNearXZ(x, z, 4), 200);
      return;
    } catch {
      if (run.stopped) throw run.stopped;
    }
  }
  throw new Failure('every way is blocked');
}

/** Swims up, and to the nearest land. */
async function surface(run, player) {
  const { bot } = player;
  bot.setControlState('jump', true);
  await run.sleep(40);
  bot.setControlState('jump', false);
  const ground = ['grass_block', 'sand', 'stone', 'dirt'].flatMap((name) => player.blocks(name, 8)).filter((place) => {
    const above = bot.blockAt(place.offset(0, 1, 0));
    return above?.name === 'air' && place.y >= bot.entity.position.y - 2;
  });
  ground.sort((a, b) => a.distanceTo(bot.entity.position) - b.distanceTo(bot.entity.position));
  if (ground[0]) await run.walk(new GoalNear(ground[0].x, ground[0].y + 1, ground[0].z, 1), 300);
}

async function eat(run, player) {
  const { bot, knowledge } = player;
  if (bot.food >= 20) throw new Failure('you are not hungry');
  const foods = bot.inventory.items().filter((item) => knowledge.food(item.name) && item.name !== 'rotten_flesh');
  foods.sort((a, b) => knowledge.food(b.name).foodPoints - knowledge.food(a.name).foodPoints);
  if (foods.length === 0) throw new Failure('you carry nothing to eat');
  await run.equip(foods[0]);
  await run.within(80, bot.consume(), 'eating');
}

async function equip(run, player, { item: name }) {
  const item = player.carried(name);
  if (item === undefined) throw new Failure(`you carry no ${name}`, [lacks.item(name, 1, 0)]);
  const [, part] = name.split('_');
  const where = { helmet: 'head', chestplate: 'torso', leggings: 'legs', boots: 'feet' }[part] ?? 'hand';
  await run.within(100, player.bot.equip(item, where), 'putting it on');
}

async function wait(run) {
  await run.sleep(20);
}

module.exports = { goTo, goToPlace, exploreUntil, flee, surface, eat, equip, wait, find };
