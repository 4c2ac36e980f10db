'use strict';
// Where the nearest block of each of many kinds is, found in one look at the land around the player.

const { Vec3 } = require('vec3');

const WIDTH = 16;

class Sight {
  constructor(bot, kinds, distance) {
    Object.assign(this, { bot, kinds, distance });
    this.kindOf = new Map();
    for (const kind of kinds) {
      const block = bot.registry.blocksByName[kind];
      if (!block) continue;
      for (let state = block.minStateId; state <= block.maxStateId; state++) this.kindOf.set(state, kind);
    }
  }

  /** The place of the nearest block of each kind that is near enough. */
  look() {
    return this.isPlain() ? this.scan() : this.ask();
  }

  /** Whether the chunks are those of the versions whose layout `scan` reads. */
  isPlain() {
    return this.bot.registry.version['>=']('1.16') && this.bot.registry.version['<']('1.18');
  }

  ask() {
    const found = new Map();
    for (const kind of this.kinds) {
      const block = this.bot.registry.blocksByName[kind];
      const [place] = block ? this.bot.findBlocks({ matching: block.id, maxDistance: this.distance, count: 1 }) : [];
      if (place) found.set(kind, place);
    }
    return found;
  }

  scan() {
    const best = new Map();
    const here = this.bot.entity.position;
    for (const { section, corner, least } of this.sections(here)) {
      const wanted = new Set();
      for (const state of section.palette ?? this.kindOf.keys()) {
        const kind = this.kindOf.get(state);
        if (kind !== undefined && least < (best.get(kind)?.distance ?? this.distance)) wanted.add(kind);
      }
      if (wanted.size > 0) this.scanSection(section, corner, here, wanted, best);
    }
    return new Map([...best].map(([kind, { place }]) => [kind, place]));
  }

  /** The sections of chunks around the player, the nearest first. */
  sections(here) {
    const reach = Math.ceil(this.distance / WIDTH);
    const [cx, cy, cz] = [here.x, here.y, here.z].map((at) => Math.floor(at / WIDTH));
    const sections = [];
    for (let x = cx - reach; x <= cx + reach; x++) {
      for (let z = cz - reach; z <= cz + reach; z++) {
        const column = this.bot.world.getColumn(x, z);
        for (let y = Math.max(0, cy - reach); column && y <= Math.min(15, cy + reach); y++) {
          const section = column.sections[y];
          if (!section || section.solidBlockCount === 0) continue;
          const corner = new Vec3(x * WIDTH, y * WIDTH, z * WIDTH);
          const apart = (at, from) => Math.max(from - at, 0, at - from - WIDTH);
          const least = Math.hypot(apart(here.x, corner.x), apart(here.y, corner.y), apart(here.z, corner.z));
          if (least < this.distance) sections.push({ section, corner, least });
        }
      }
    }
    return sections.sort((a, b) => a.least - b.least);
  }

  scanSection(section, corner, here, wanted, best) {
    const kinds = section.palette?.map((state) => (wanted.has(this.kindOf.get(state)) ? this.kindOf.get(state) : undefined));
    for (let index = 0; index < WIDTH ** 3; index++) {
      const value = section.data.get(index);
      const kind = kinds ? kinds[value] : this.kindOf.get(value);
      if (kind === undefined) continue;
      const [x, y, z] = [corner.x + (index & 15), corner.y + (index >> 8), corner.z + ((index >> 4) & 15)];
      const distance = Math.hypot(x + 0.5 - here.x, y + 0.5 - here.y, z + 0.5 - here.z);
      if (distance < (best.get(kind)?.distance ?? this.distance)) best.set(kind, { distance, place: new Vec3(x, y, z) });
    }
  }
}

module.exports = { Sight };
