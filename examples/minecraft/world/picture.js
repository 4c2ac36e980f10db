'use strict';
// A picture of the land around the player from above, north up: for people, and for tools that see.

const zlib = require('zlib');
const { HOSTILE } = require('./player');

// Blocks to each side of the player, and pixels to a block's side.
const REACH = 32;
const SCALE = 6;
const SIDE = (2 * REACH + 1) * SCALE;

// What nothing is drawn for, so that the ground below it shows.
const CLEAR = ['air', 'cave_air', 'void_air', 'grass', 'tall_grass', 'torch', 'barrier'];
const COLOURS = {
  grass_block: 0x6aa84f, dirt: 0x8b6b4a, sand: 0xdbcf9b, gravel: 0x9a9590, stone: 0x85858a, cobblestone: 0x75757c, bedrock: 0x2b2b2f,
  water: 0x3f76c9, lava: 0xf07f1d, oak_log: 0x6b4a2b, oak_leaves: 0x3d7a35, oak_planks: 0xb8945f, coal_ore: 0x3b3b40, iron_ore: 0xc9a58a,
  gold_ore: 0xf2cf3b, redstone_ore: 0xc0392b, lapis_ore: 0x2456b8, diamond_ore: 0x57d6d6, crafting_table: 0xe08e3c, furnace: 0x4d4d55,
  chest: 0xc77f2f, snow: 0xf2f6f8, ice: 0xa9c9f5,
};
const UNKNOWN = 0x000000;
const OTHER = 0xa08fa8;
const PLAYER = 0xffffff;
const CREATURE = { hostile: 0xd6202a, other: 0xf5b7d0 };

/** The picture, as the protocol wants it. */
function frame(player) {
  const { bot } = player;
  const canvas = Buffer.alloc(SIDE * SIDE * 3);
  const here = bot.entity.position.floored();
  const land = new Columns(bot, here);
  for (let dx = -REACH; dx <= REACH; dx++) {
    for (let dz = -REACH; dz <= REACH; dz++) {
      const block = land.topmost(here.x + dx, here.z + dz);
      paint(canvas, (dx + REACH) * SCALE, (dz + REACH) * SCALE, SCALE, block === null ? UNKNOWN : shaded(block, here.y));
    }
  }
  for (const { entity } of player.creatures()) {
    const kind = HOSTILE.includes(entity.name) ? 'hostile' : 'other';
    spot(canvas, entity.position, bot.entity.position, CREATURE[kind], SCALE);
  }
  spot(canvas, bot.entity.position, bot.entity.position, PLAYER, SCALE + 2);
  const { x, z } = bot.entity.position;
  // Where the player looks.
  for (let step = 1; step <= 3; step++) {
    const ahead = { x: x - Math.sin(bot.entity.yaw) * step * 0.8, z: z - Math.cos(bot.entity.yaw) * step * 0.8 };
    spot(canvas, ahead, { x, z }, PLAYER, 3);
  }
  return { mime: 'image/png', data: png(SIDE, SIDE, canvas).toString('base64') };
}

/** The blocks that are seen from above: from the sky, or from above the player's head under a roof. */
class Columns {
  constructor(bot, here) {
    this.world = bot.world;
    this.bottom = bot.game.minY ?? 0;
    this.sky = this.bottom + (bot.game.height ?? 256) - 1;
    const clear = new Set(CLEAR);
    this.nameOf = (state) => bot.registry.blocksByStateId[state]?.name ?? 'air';
    this.isClear = (state) => state === 0 || clear.has(this.nameOf(state));
    this.top = this.sky;
    const above = this.topmost(here.x, here.z);
    if (above && above.y > here.y + 2 && !/_(leaves|log)$/.test(above.name)) this.top = here.y + 2;
  }

  /** Name and height of the topmost block, or null where nothing is loaded. */
  topmost(x, z) {
    const column = this.world.getColumn(x >> 4, z >> 4);
    if (!column) return null;
    const at = { x: x & 15, y: this.top, z: z & 15 };
    for (; at.y >= this.bottom; at.y--) {
      const state = column.getBlockStateId(at);
      if (!this.isClear(state)) return { name: this.nameOf(state), y: at.y };
    }
    return null;
  }
}

/** The block's colour, lighter the higher it lies. */
function shaded({ name, y }, eye) {
  const light = Math.min(1.35, Math.max(0.55, 1 + (y - eye) * 0.025));
  const colour = COLOURS[name] ?? OTHER;
  const part = (shift) => Math.min(255, Math.round(((colour >> shift) & 255) * light));
  return (part(16) << 16) | (part(8) << 8) | part(0);
}

/** A square of a colour around a place. */
function spot(canvas, place, here, colour, size) {
  const [dx, dz] = [place.x - here.x, place.z - here.z];
  if (Math.max(Math.abs(dx), Math.abs(dz)) > REACH) return;
  const at = (by) => Math.round((REACH + 0.5 + by) * SCALE - size / 2);
  paint(canvas, at(dx), at(dz), size, colour);
}

function paint(canvas, left, top, size, colour) {
  for (let y = Math.max(0, top); y < Math.min(SIDE, top + size); y++) {
    for (let x = Math.max(0, left); x < Math.min(SIDE, left + size); x++) canvas.writeUIntBE(colour, (y * SIDE + x) * 3, 3);
  }
}

/** A PNG file of red, green and blue bytes (ISO/IEC 15948). */
function png(width, height, rgb) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  // 8 bits a channel, true colour.
  head.set([8, 2], 8);
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let y = 0; y < height; y++) rgb.copy(rows, y * (1 + width * 3) + 1, y * width * 3, (y + 1) * width * 3);
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeUInt32BE(zlib.crc32(body), 4);
    return [ends.subarray(0, 4), body, ends.subarray(4)];
  };
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [...chunk('IHDR', head), ...chunk('IDAT', zlib.deflateSync(rows)), ...chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([signature, ...parts]);
}

module.exports = { frame, SIDE };
