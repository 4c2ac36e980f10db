'use strict';
// Episodes: a world, a player in it, actions, observations.

const { SmallWorld, VERSION } = require('./server');
const { Player, Run, Failure } = require('./player');
const { ACTIONS, complete } = require('./actions');
const observe = require('./observe');
const documents = require('./documents');
const picture = require('./picture');

class World {
  /** `server` is a host and port of a server elsewhere, or null for the small world. */
  constructor(clock, { server = null, version = null, undocumented = false } = {}) {
    Object.assign(this, { clock, server, version, undocumented });
    this.tasks = documents.tasks();
    this.small = null;
    this.player = null;
  }

  async reset(seed) {
    this.leave();
    this.clock.restart(seed);
    this.player = await this.clock.until(this.server ? this.visit() : this.begin(seed % 2 ** 31));
    this.clock.draw(seed);
    this.done = Object.fromEntries(documents.counted().map((name) => [name, 0]));
    this.unlocked = new Set();
    this.began = Date.now();
    const now = this.state();
    this.first = now.inventory;
    return { state: now, text: observe.text(now) };
  }

  /** Enters a new small world. */
  async begin(seed) {
    const small = new SmallWorld(seed);
    this.small = small;
    await small.ready;
    // The client is ready for packets only after its plugins are there.
    const connect = (client) => {
      client.setSocket(small.connect());
      setTimeout(() => client.emit('connect'), 50);
    };
    const joined = Player.join({ connect, version: VERSION, checkTimeoutInterval: 1e9 });
    const player = await inTime(joined, 120, 'the small world does not let the player in');
    player.cause = () => small.cause();
    return player;
  }

  /** Enters the server elsewhere. */
  async visit() {
    const { host, port } = this.server;
    let bot = null;
    try {
      const joined = Player.join({ host, port, version: this.version ?? false, respawn: true, created: (one) => { bot = one; } });
      return await inTime(joined, 30, 'it does not answer within 30 s');
    } catch (error) {
      bot?.end();
      throw new Error(`cannot play on ${host}:${port}: ${advice(error)}`);
    }
  }

  leave() {
    try {
      this.player?.bot.end();
    } catch {
      // It is closed.
    }
    this.small?.close();
    [this.small, this.player] = [null, null];
  }

  async step(name, args) {
    const action = ACTIONS[name];
    if (action === undefined) throw new Error(`no action named \`${name}\``);
    if (this.player === null) throw new Error('no episode has begun: reset the world first');
    const { player } = this;
    let failed = null;
    let missing = [];
    if (player.ended === null) ({ failed, missing } = await this.clock.until(this.carryOut(action, complete(action, args))));
    if (failed === null) this.count(name, args);
    const now = player.ended?.kind === 'lost' ? this.last : this.state();
    const unlocked = this.achievements(now);
    // Without documentation, what is needed has to be found out.
    if (this.undocumented) missing = [];
    const named = this.undocumented ? [] : unlocked;
    return { state: now, text: observe.text(now), reward: unlocked.length, unlocked: named, failed, missing, ended: player.ended };
  }

  /** Carries an action out; returns why it failed, or null, and what it lacked. */
  async carryOut(action, args) {
    const run = new Run(this.player, action.ticks(args));
    try {
      await run.guard(action.run(run, this.player, args));
      return { failed: null, missing: [] };
    } catch (error) {
      if (error instanceof Failure) return { failed: error.message, missing: error.missing };
      process.stderr.write(`${error.stack}\n`);
      return { failed: `it did not work: ${error.message}`, missing: [] };
    } finally {
      run.finish();
      // What the player let go of comes to rest.
      await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
  }

  /** Counts what no number in the inventory shows. */
  count(name, args) {
    const done = { place_item: `place_${args?.item}`, kill_mob: `kill_${args?.mob}`, eat: 'eat_food' }[name];
    if (this.done[done] !== undefined) this.done[done] += 1;
  }

  state() {
    this.last = observe.state(this.player, this.done, Math.round((Date.now() - this.began) / 1000));
    return this.last;
  }

  /** A picture of the world from above. */
  frame() {
    if (this.player === null) throw new Error('no episode has begun: reset the world first');
    return picture.frame(this.player);
  }

  /** The tasks whose goal holds for the first time in the episode. */
  achievements(now) {
    const reached = ({ name, goal: { increased: { path } } }) => {
      const [, where, what] = path.split('/');
      return where === 'achievements' ? now.achievements[name] > 0 : (now.inventory[what] ?? 0) > (this.first[what] ?? 0);
    };
    const fresh = this.tasks.filter((task) => !this.unlocked.has(task.name) && reached(task)).map((task) => task.name);
    for (const name of fresh) this.unlocked.add(name);
    return fresh;
  }
}

/** The value of a promise, unless it takes longer than so many seconds. */
async function inTime(promise, seconds, message) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(message)), seconds * 1000); });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a person can do about a connection that failed. */
function advice(error) {
  const message = `${error.message || error.code}`;
  if (error.code === 'ECONNREFUSED') return 'nothing listens there; start the server, or check the address';
  if (/unsupported protocol version|No data available for version|version .* is not supported|outdated|differs/i.test(message)) {
    return `${message}; give the server's version, such as \`version=1.16.5\`; versions 1.8.8 to 1.21.4 are known`;
  }
  if (/verif|authenticat|online/i.test(message)) return `${message}; the server must run with \`online-mode=false\``;
  return message;
}

module.exports = { World, advice };
