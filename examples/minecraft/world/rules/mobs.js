'use strict';
// Simple creatures: animals that graze, and zombies that hunt at night.

const { Vec3 } = require('vec3');

// Health, damage, speed in blocks a tick, drops as item, least and greatest number.
const KINDS = {
  cow: { health: 10, speed: 0.05, drops: [['beef', 1, 3], ['leather', 0, 2]] },
  pig: { health: 10, speed: 0.05, drops: [['porkchop', 1, 3]] },
  sheep: { health: 8, speed: 0.05, drops: [['mutton', 1, 2], ['white_wool', 1, 1]] },
  chicken: { health: 4, speed: 0.05, drops: [['chicken', 1, 1], ['feather', 0, 2]] },
  zombie: { health: 20, speed: 0.11, damage: 3, drops: [['rotten_flesh', 0, 2]] },
};
const ANIMALS = ['cow', 'pig', 'sheep', 'chicken'];
const [DUSK, DAWN] = [13000, 23000];
const MOST_ANIMALS = 16;
const MOST_ZOMBIES = 4;
// Blocks within which a zombie notices a player, and beyond which creatures stand still or vanish.
const [NOTICE, AWAKE, GONE] = [20, 48, 96];
// A creature decides and moves every so many ticks.
const EVERY = 4;

class Mobs {
  /** `world` knows the ground: `ground(x, y, z)`, the y to stand on near a height, or null. */
  constructor(serv, world, drop, random) {
    this.serv = serv;
    this.world = world;
    this.drop = drop;
    this.random = random;
    this.all = new Set();
  }

  isNight() {
    return this.serv.time >= DUSK && this.serv.time < DAWN;
  }

  spawn(kind, position) {
    const { registry } = this.serv;
    const entity = this.serv.spawnMob(registry.entitiesByName[kind].id, this.serv.overworld, position);
    // The server's own physics is not used: these creatures walk by the rules below.
    entity.size = undefined;
    Object.assign(entity, { name: kind, health: KINDS[kind].health, kind, way: null, hitAt: -100, struckAt: -100 });
    this.all.add(entity);
    return entity;
  }

  remove(entity) {
    this.all.delete(entity);
    if (this.serv.entities[entity.id]) this.serv.destroyEntity(entity);
  }

  /** A herd, on the grass of a chunk that a player sees for the first time. */
  herd(cx, cz) {
    const animals = [...this.all].filter((mob) => ANIMALS.includes(mob.kind)).length;
    if (animals >= MOST_ANIMALS || this.random() > 0.2) return;
    const kind = ANIMALS[Math.floor(this.random() * ANIMALS.length)];
    for (let i = 0; i < 2 + Math.floor(this.random() * 2); i++) {
      const [x, z] = [cx * 16 + Math.floor(this.random() * 16), cz * 16 + Math.floor(this.random() * 16)];
      const y = this.world.surface(x, z);
      if (y !== null) this.spawn(kind, new Vec3(x + 0.5, y, z + 0.5));
    }
  }

  /** Lets the creatures live near the players, who have bodies. */
  tick(count, guests) {
    if (count % EVERY !== 0 || guests.length === 0) return;
    for (const mob of [...this.all]) {
      const distances = guests.map(({ player }) => mob.position.distanceTo(player.position));
      const distance = Math.min(...distances);
      const { player, body } = guests[distances.indexOf(distance)];
      if (mob.kind === 'zombie' && (distance > GONE || !this.isNight())) this.remove(mob);
      else if (mob.kind === 'zombie') this.hunt(mob, player, body, distance, count);
      else if (distance > GONE * 2) this.remove(mob);
      else if (distance < AWAKE) this.graze(mob);
    }
    if (this.isNight() && count % 100 === 0) for (const { player } of guests) this.prowl(player);
  }

  prowl(player) {
    const zombies = [...this.all].filter((mob) => mob.kind === 'zombie').length;
    if (zombies >= MOST_ZOMBIES || this.random() > 0.3) return;
    const angle = this.random() * 2 * Math.PI;
    const distance = 20 + this.random() * 12;
    const x = Math.floor(player.position.x + Math.cos(angle) * distance);
    const z = Math.floor(player.position.z + Math.sin(angle) * distance);
    const y = this.world.surface(x, z);
    if (y !== null) this.spawn('zombie', new Vec3(x + 0.5, y, z + 0.5));
  }

  graze(mob) {
    if (mob.way === null && this.random() < 0.02) mob.way = { angle: this.random() * 2 * Math.PI, left: 10 };
    if (mob.way === null) return;
    mob.way.left -= 1;
    if (!this.walk(mob, Math.cos(mob.way.angle), Math.sin(mob.way.angle)) || mob.way.left <= 0) mob.way = null;
  }

  hunt(mob, player, body, distance, count) {
    if (distance > NOTICE) return this.graze(mob);
    const way = player.position.minus(mob.position);
    if (distance < 1.6 && Math.abs(way.y) < 2) {
      if (count - mob.struckAt < 20) return undefined;
      mob.struckAt = count;
      return body.hurt(KINDS.zombie.damage, 'slain by a zombie');
    }
    const flat = Math.hypot(way.x, way.z) || 1;
    return this.walk(mob, way.x / flat, way.z / flat);
  }

  /** A step over at most one block up or three down. Returns whether it was possible. */
  walk(mob, dx, dz) {
    const step = KINDS[mob.kind].speed * EVERY;
    const [x, z] = [mob.position.x + dx * step, mob.position.z + dz * step];
    const y = this.world.ground(Math.floor(x), Math.floor(mob.position.y), Math.floor(z));
    if (y === null) return false;
    mob.sendPosition(new Vec3(x, y, z), true);
    return true;
  }

  /** A player's blow. */
  struck(mob, damage, count) {
    if (!this.all.has(mob) || count - mob.hitAt < 10) return;
    mob.hitAt = count;
    mob.health -= damage;
    const flee = this.random() * 2 * Math.PI;
    if (mob.kind !== 'zombie') mob.way = { angle: flee, left: 8 };
    this.serv._writeAll('entity_status', { entityId: mob.id, entityStatus: mob.health > 0 ? 2 : 3 });
    if (mob.health > 0) return;
    for (const [item, least, most] of KINDS[mob.kind].drops) {
      const number = least + Math.floor(this.random() * (most - least + 1));
      if (number > 0) this.drop(item, number, mob.position.offset(0, 0.3, 0));
    }
    this.remove(mob);
  }
}

module.exports = { Mobs, KINDS, ANIMALS };
