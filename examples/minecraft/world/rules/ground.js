'use strict';
// The blocks of a running world, and the things that lie on them.

const { Vec3 } = require('vec3');

// Ticks before a thing can be picked up, and after which it is gone.
const [PICK_UP, ROT] = [10, 6000];
const PICK_UP_DISTANCE = 1.5;

class Ground {
  constructor(serv, random) {
    this.serv = serv;
    this.registry = serv.registry;
    this.random = random;
    this.things = new Map();
  }

  column(x, z) {
    return this.serv.overworld.getLoadedColumn(Math.floor(x) >> 4, Math.floor(z) >> 4);
  }

  state(position) {
    const [x, y, z] = [Math.floor(position.x), Math.floor(position.y), Math.floor(position.z)];
    if (y < 0 || y > 255) return 0;
    return this.column(x, z)?.getBlockStateId({ x: x & 15, y, z: z & 15 });
  }

  /** The name of the block there; undefined where the land is not there yet. */
  name(position) {
    return this.registry.blocksByStateId[this.state(position)]?.name;
  }

  block(position) {
    const column = this.column(position.x, position.z);
    if (!column || position.y < 0 || position.y > 255) return null;
    const block = column.getBlock({ x: position.x & 15, y: position.y, z: position.z & 15 });
    block.position = position;
    return block;
  }

  solid(position) {
    return this.registry.blocksByStateId[this.state(position)]?.boundingBox === 'block';
  }

  set(position, name) {
    this.serv.setBlock(this.serv.overworld, position, this.registry.blocksByName[name].defaultState);
  }

  /** Shows everybody the block there as it is. */
  show(position) {
    this.serv._writeAll('block_change', { location: position, type: this.state(position) ?? 0 });
  }

  /** The height to stand at in a column, at most one above `y` and three below; null if there is none. */
  ground(x, y, z) {
    for (let at = y + 1; at >= y - 3; at--) {
      const free = [0, 1].every((up) => !this.solid({ x, y: at + up, z }) && this.name({ x, y: at + up, z }) !== 'water');
      if (free && this.solid({ x, y: at - 1, z })) return at;
    }
    return null;
  }

  /** The height of the open ground in a column; null in water, and where the land is not there. */
  surface(x, z) {
    if (!this.column(x, z)) return null;
    for (let y = 100; y > 0; y--) {
      const name = this.name({ x, y, z });
      if (name === 'water' || name === 'lava' || name === 'oak_leaves') return null;
      if (this.solid({ x, y, z })) return y + 1;
    }
    return null;
  }

  /** Lets an item fall to the ground. */
  drop(name, count, position) {
    const id = this.registry.itemsByName[name].id;
    const velocity = new Vec3((this.random() - 0.5) * 1.5, 2, (this.random() - 0.5) * 1.5);
    const entity = this.serv.spawnObject(this.registry.entitiesByName.item.id, this.serv.overworld, position, {
      velocity, itemId: id, itemCount: count,
    });
    this.things.set(entity, this.serv.tickCount);
  }

  /** Things near the player go into the inventory, as far as there is room. */
  tick(player, windows) {
    for (const [entity, since] of this.things) {
      const age = this.serv.tickCount - since;
      if (age > ROT || !this.serv.entities[entity.id]) this.take(entity);
      if (age < PICK_UP || !player || player.health <= 0) continue;
      const way = entity.position.minus(player.position);
      if (Math.hypot(way.x, way.z) > PICK_UP_DISTANCE || way.y < -1 || way.y > 2.3) continue;
      const left = windows.give(new windows.Item(entity.itemId, entity.itemCount));
      if (left === entity.itemCount) continue;
      player._client.write('collect', { collectedEntityId: entity.id, collectorEntityId: player.id, pickupItemCount: entity.itemCount - left });
      entity.itemCount = left;
      if (left === 0) this.take(entity);
      windows.resend();
    }
  }

  take(entity) {
    this.things.delete(entity);
    if (this.serv.entities[entity.id]) this.serv.destroyEntity(entity);
  }
}

module.exports = { Ground };
