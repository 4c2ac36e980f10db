'use strict';
// The player: a mineflayer bot, and what every action needs of it.

const mineflayer = require('mineflayer');
const minecraftData = require('minecraft-data');
const { pathfinder, goals } = require('mineflayer-pathfinder');
const { Paths } = require('./paths');
const { Knowledge } = require('./rules/knowledge');

const TICK_MS = 50;
// Blocks within which the player knows of things.
const SIGHT = 32;
// Number of blocks at which `findBlocks` stops. It goes by chunk sections, so with a small number the nearest block may be missing.
const FOUND = 256;
// An action stops when the player loses this much health in it.
const ALARM = 4;
const HOSTILE = ['zombie', 'skeleton', 'creeper', 'spider', 'witch', 'drowned', 'husk', 'stray', 'enderman', 'slime'];

/**
 * Why an action had no, or not its whole, effect: a sentence for the agent, and what it lacked, in the words of the recipes, for the
 * program that tells the model which skill brings it.
 */
class Failure extends Error {
  constructor(message, missing = []) {
    super(message);
    this.missing = missing;
  }
}

/** What an action can lack: so many of an item, a thing that stands nearby, a thing to look for. */
const lacks = {
  item: (item, count, have) => ({ item: { item, count, have } }),
  nearby: (kind) => ({ nearby: { kind } }),
  seen: (kind) => ({ seen: { kind } }),
};

class Player {
  constructor(bot) {
    this.bot = bot;
    this.knowledge = new Knowledge(bot.registry);
    this.ended = null;
    this.cause = null;
    this.heading = 0;
    const end = (kind, cause) => { this.ended = this.ended ?? { kind, cause }; };
    bot.on('death', () => end('died', this.cause?.() ?? 'the player died'));
    bot.on('kicked', (reason) => end('lost', `the server kicked the player: ${plain(reason)}`));
    bot.on('end', (reason) => end('lost', `the connection to the server was lost: ${plain(reason)}`));
    bot.on('error', (error) => process.stderr.write(`player: ${error.message}\n`));
  }

  /** Enters a world. `connect` sets the socket of the client; `created` gets the bot before it is in the world. */
  static async join({ created = () => {}, ...options }) {
    const bot = mineflayer.createBot({
      username: 'Sojourner', auth: 'offline', respawn: false, hideErrors: true, viewDistance: 'tiny', logErrors: false, ...options,
    });
    created(bot);
    bot.loadPlugin(pathfinder);
    await new Promise((resolve, reject) => {
      bot.once('spawn', resolve);
      bot.once('kicked', (reason) => reject(new Error(`the server refuses the player: ${plain(reason)}`)));
      bot.once('error', reject);
      bot.once('end', (reason) => reject(new Error(`the server closed the connection: ${plain(reason)}`)));
    });
    await bot.waitForChunksToLoad();
    bot.pathfinder.setMovements(new Paths(bot));
    placeAboveJump(bot);
    bot.pathfinder.thinkTimeout = 2000;
    bot.pathfinder.searchRadius = 120;
    return new Player(bot);
  }

  /** How many of an item the player carries. */
  count(name) {
    return this.bot.inventory.items().reduce((sum, item) => sum + (item.name === name ? item.count : 0), 0);
  }

  carried(name) {
    return this.bot.inventory.items().find((item) => item.name === name);
  }

  isFull() {
    return this.bot.inventory.emptySlotCount() === 0;
  }

  /** The positions of blocks of a kind, the nearest first. */
  blocks(name, count = 1, distance = SIGHT) {
    const block = this.bot.registry.blocksByName[name];
    if (!block) return [];
    const here = this.bot.entity.position;
    const found = this.bot.findBlocks({ matching: block.id, maxDistance: distance, count: Math.max(count, FOUND) });
    return found.sort((a, b) => a.distanceTo(here) - b.distanceTo(here)).slice(0, count);
  }

  creatures() {
    const { bot } = this;
    const here = bot.entity.position;
    const others = Object.values(bot.entities).filter((one) => one !== bot.entity && one.name !== 'item' && one.position);
    const near = others.map((entity) => ({ entity, distance: entity.position.distanceTo(here) }));
    return near.filter(({ distance }) => distance <= 48).sort((a, b) => a.distance - b.distance);
  }

  /** The name of the biome. A server may send numbers without names. */
  biome() {
    const biome = this.bot.blockAt(this.bot.entity.position)?.biome;
    return biome?.name || minecraftData(this.bot.version).biomes[biome?.id]?.name || 'unknown';
  }

  nearestCreature(kind, distance = 48) {
    return this.creatures().find((one) => one.entity.name === kind && one.distance <= distance)?.entity;
  }
}

/**
 * Lets a block be placed under the feet when a jump has lifted them above it, since a server refuses it before, and looks there at
 * once, since a slow turn of the head takes as long as the jump.
 */
function placeAboveJump(bot) {
  bot.placeBlock = async (against, face) => {
    const at = against.position.plus(face);
    const inside = () => {
      const { x, y, z } = bot.entity.position;
      return Math.abs(x - at.x - 0.5) < 0.8 && Math.abs(z - at.z - 0.5) < 0.8 && y < at.y + 1 && y > at.y - 1;
    };
    for (let tick = 0; tick < 10 && inside(); tick++) await new Promise((resolve) => { setTimeout(resolve, TICK_MS); });
    return bot._placeBlockWithOptions(against, face, { swingArm: 'right', forceLook: true });
  };
}

/** One action under way: it ends in time, and when the player is hurt, dies or loses the server. */
class Run {
  constructor(player, ticks) {
    this.player = player;
    this.bot = player.bot;
    this.ticks = ticks;
    this.stopped = null;
    this.health = this.bot.health;
    this.alarm = new Promise((_, reject) => { this.reject = reject; });
    this.alarm.catch(() => {});
    this.timer = setTimeout(() => this.stop(`gave up after ${Math.round(ticks / 20)} s`), ticks * TICK_MS);
    this.onHealth = () => {
      if (this.bot.health > 0 && this.health - this.bot.health >= ALARM) this.stop('stopped: you were hurt');
    };
    this.onEnd = () => this.stop(player.ended?.cause ?? 'the player is gone');
    this.bot.on('health', this.onHealth);
    for (const event of ['death', 'kicked', 'end']) this.bot.on(event, this.onEnd);
  }

  stop(reason) {
    if (this.stopped) return;
    this.stopped = new Failure(reason);
    this.reject(this.stopped);
  }

  /** Waits for a part of the action. */
  async guard(promise) {
    if (this.stopped) throw this.stopped;
    promise.catch(() => {});
    const value = await Promise.race([promise, this.alarm]);
    if (this.stopped) throw this.stopped;
    return value;
  }

  /** Waits for a part of the action, at most so many ticks. */
  async within(ticks, promise, what) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Failure(`${what} took too long`)), ticks * TICK_MS);
    });
    try {
      return await this.guard(Promise.race([promise, late]));
    } finally {
      clearTimeout(timer);
    }
  }

  sleep(ticks) {
    return this.guard(new Promise((resolve) => { setTimeout(resolve, ticks * TICK_MS); }));
  }

  /** Walks to a goal of the pathfinder. */
  async walk(goal, ticks = 600) {
    try {
      await this.within(ticks, this.bot.pathfinder.goto(goal), 'the way there');
    } catch (error) {
      this.bot.pathfinder.setGoal(null);
      if (this.stopped) throw this.stopped;
      throw error instanceof Failure ? error : new Failure('there is no way there');
    }
  }

  async equip(item, where = 'hand') {
    if (item && this.bot.heldItem?.type !== item.type) await this.within(100, this.bot.equip(item, where), 'taking it in hand');
  }

  /** Ends the action, whatever it was doing. */
  finish() {
    clearTimeout(this.timer);
    this.bot.removeListener('health', this.onHealth);
    for (const event of ['death', 'kicked', 'end']) this.bot.removeListener(event, this.onEnd);
    this.stop('the action is over');
    this.bot.pathfinder.setGoal(null);
    try {
      this.bot.stopDigging();
      if (this.bot.currentWindow) this.bot.closeWindow(this.bot.currentWindow);
      this.bot.clearControlStates();
    } catch {
      // The connection is closed.
    }
  }
}

/** A reason of the protocol as plain text: it may be JSON of a chat message. */
function plain(reason) {
  let text = typeof reason === 'string' ? reason : JSON.stringify(reason ?? 'no reason given');
  try {
    const parsed = JSON.parse(text);
    text = parsed.text || parsed.translate || text;
  } catch {
    // It is plain text already.
  }
  return String(text).slice(0, 200);
}

module.exports = { Player, Run, Failure, lacks, goals, SIGHT, HOSTILE, TICK_MS };
