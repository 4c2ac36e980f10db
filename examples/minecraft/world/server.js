'use strict';
// The small world: flying-squid, a server of the Minecraft protocol in JavaScript, with rules of survival. flying-squid itself has
// players, chunks, blocks and entities; crafting, furnaces, tools, drops, hunger, creatures, trees and ores are the rules in `rules/`.

const readline = require('readline');
const { PipeServer } = require('./pipe');
const { Land } = require('./land');
const { Ground } = require('./rules/ground');
const { Hands } = require('./rules/hands');
const { Body } = require('./rules/body');
const { Mobs } = require('./rules/mobs');
const { PlayerWindows, Stores } = require('./rules/windows');
const { Knowledge } = require('./rules/knowledge');
const { randomNumbers } = require('./clock');
const { Vec3 } = require('vec3');

const VERSION = '1.16.5';
// Chunks around a player that are sent.
const VIEW = 3;

/** Runs a function while nothing opens a console on standard input, which flying-squid does when its first server is made. */
function withoutConsole(run) {
  const { createInterface } = readline;
  const silent = new Proxy({}, { get: () => () => silent });
  readline.createInterface = () => silent;
  try {
    return run();
  } finally {
    readline.createInterface = createInterface;
  }
}

/** Lets every player be new. The server would look for a file, and time would pass while the disk answers. */
function withoutSavedPlayers() {
  const saved = require('flying-squid/src/lib/playerDat');
  saved.read = async (_, spawnPoint) => ({ player: { ...saved.playerDefaults, position: spawnPoint.clone() }, inventory: [] });
}

class SmallWorld {
  /**
   * A new world. `ready` is fulfilled when players can connect: within the process, or with a `port` to that port of this
   * computer's own address.
   */
  constructor(seed, port = null) {
    const serv = withoutConsole(() => require('flying-squid').createMCServer({
      ...(port === null ? { Server: PipeServer } : { host: '127.0.0.1', port }), version: VERSION, 'online-mode': false, motd: 'Sojourn', 'max-players': 4, gameMode: 0, difficulty: 1,
      generation: { name: 'empty', options: { seed: 1 } }, plugins: {}, 'view-distance': VIEW, 'max-entities': 400,
      'everybody-op': false, 'player-list-text': { header: { text: '' }, footer: { text: '' } }, kickTimeout: 1e9, logging: false,
      noConsoleOutput: true, hideErrors: true,
    }));
    withoutSavedPlayers();
    this.serv = serv;
    // With a debug function the server leaves the process's own error handlers alone.
    serv.debug = () => {};
    serv.log = () => {};
    serv.err = (message) => process.stderr.write(`server: ${message}\n`);
    serv.warn = () => {};
    serv.playSound = () => {};
    this.land = new Land(serv.registry, seed);
    this.knowledge = new Knowledge(serv.registry);
    // Numbers of its own: libraries draw some of theirs when they are loaded.
    this.random = randomNumbers(seed);
    this.ground = new Ground(serv, this.random);
    const makeItem = (name, count) => {
      const Item = require('prismarine-item')(serv.registry);
      return new Item(serv.registry.itemsByName[name].id, count);
    };
    this.stores = new Stores(makeItem);
    this.mobs = new Mobs(serv, this.ground, (item, count, at) => this.ground.drop(item, count, at), this.random);
    this.fresh = [];
    this.guests = new Set();
    serv.overworld.chunkGenerator = (cx, cz) => {
      this.fresh.push([cx, cz]);
      return this.land.chunk(cx, cz);
    };
    // Without a store a chunk that is unloaded would lose what was built in it.
    serv.overworld.unloadColumn = () => {};
    serv.getSpawnPoint = async () => {
      const { x, y, z } = this.land.spawn();
      return new Vec3(x, y, z);
    };
    serv.on('newPlayer', (player) => this.join(player));
    serv.on('tick', (_, count) => this.tick(count));
    this.ready = new Promise((resolve, reject) => {
      serv.once('ready', resolve);
      serv.once('error', reject);
    });
  }

  /** The player's end of a new connection. */
  connect() {
    return this.serv._server.connect();
  }

  join(player) {
    const { ground, knowledge, mobs, serv, stores, random } = this;
    const throwItem = (item, count) => ground.drop(item, count, player.position.offset(2 * (random() - 0.5), 1.3, 2));
    const windows = new PlayerWindows(player, serv.registry, stores, throwItem);
    const body = new Body(player, (at) => ground.name(at), knowledge);
    const hands = new Hands({ player, serv, ground, knowledge, windows, body, mobs, stores, random });
    const guest = { player, windows, body, hands };
    player.on('spawned', () => this.guests.add(guest));
    player.on('disconnected', () => this.guests.delete(guest));
  }

  tick(count) {
    const { ground, guests, mobs, stores } = this;
    for (const { player, windows, body } of guests) {
      body.tick();
      ground.tick(player, windows);
    }
    mobs.tick(count, [...guests]);
    for (const [cx, cz] of this.fresh.splice(0)) mobs.herd(cx, cz);
    for (const furnace of stores.furnaces.values()) {
      const changed = furnace.tick();
      for (const { windows } of guests) if (windows.shows(furnace)) for (const slot of changed) windows.show(slot);
    }
  }

  /** Why the last player was hurt last. */
  cause() {
    const [guest] = [...this.guests].reverse();
    return guest?.body.cause ?? null;
  }

  /** Ends the world. */
  close() {
    this.serv.stopTickInterval();
    this.serv.removeAllListeners();
    this.serv._server.emit('close');
    this.serv._server.removeAllListeners();
  }
}

module.exports = { SmallWorld, VERSION };
