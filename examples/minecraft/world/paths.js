'use strict';
// The pathfinder's knowledge of the ground, without making a block object for each look at a block: searches look at millions.

const { Movements, goals } = require('mineflayer-pathfinder');
const { Vec3 } = require('vec3');

const EYES = 1.62;
const REACH = 4.5;
// Digging a block costs about three steps. A search that counts each block of the distance so dares to dig straight to a deep place.
const HASTE = 3;

/** A place at a height. */
class GoalDepth extends goals.Goal {
  constructor(y) {
    super();
    this.y = y;
  }

  heuristic(node) {
    return HASTE * Math.abs(node.y - this.y);
  }

  isEnd(node) {
    return node.y === this.y;
  }
}

/** A place from which a side of a block is seen and within reach. */
class GoalReach extends goals.Goal {
  constructor(place, world) {
    super();
    this.place = place;
    this.world = world;
    this.centre = place.offset(0.5, 0.5, 0.5);
  }

  heuristic(node) {
    const [dx, dy, dz] = [node.x - this.place.x, node.y - this.place.y, node.z - this.place.z].map(Math.abs);
    return HASTE * Math.max(0, Math.max(dx, dz) + 0.41 * Math.min(dx, dz) + dy - 4);
  }

  isEnd(node) {
    const [dx, dy, dz] = [node.x - this.place.x, node.y - this.place.y, node.z - this.place.z];
    // Beside, below or above it: what lies between has been dug on the way.
    const sideways = Math.abs(dx) + Math.abs(dz);
    if ((sideways === 1 && (dy === 0 || dy === -1)) || (sideways === 0 && (dy === 1 || dy === -2))) return true;
    const eye = new Vec3(node.x + 0.5, node.y + EYES, node.z + 0.5);
    const way = this.centre.minus(eye);
    if (way.norm() > REACH) return false;
    // The middle of each side that is turned to the player.
    return ['x', 'y', 'z'].some((axis) => {
      if (Math.abs(way[axis]) <= 0.5) return false;
      const side = this.centre.clone();
      side[axis] -= 0.5 * Math.sign(way[axis]);
      const hit = this.world.raycast(eye, side.minus(eye).normalize(), REACH + 1);
      return hit?.position.equals(this.place) ?? false;
    });
  }
}

class Paths extends Movements {
  constructor(bot) {
    super(bot);
    this.Block = require('prismarine-block')(bot.registry);
    this.kinds = new Map();
    this.labour = new Map();
    this.column = null;
    const forget = () => { this.column = null; };
    for (const event of ['chunkColumnLoad', 'chunkColumnUnload']) bot.on(event, forget);
    bot.inventory.on('updateSlot', () => this.labour.clear());
    this.unknown = { replaceable: false, canFall: false, safe: false, physical: false, liquid: false, climbable: false, openable: false };
    this.allowParkour = false;
    // Creatures move before one gets there.
    this.allowEntityDetection = false;
    for (const name of ['crafting_table', 'furnace', 'chest']) this.blocksCantBreak.add(bot.registry.blocksByName[name].id);
  }

  getBlock(pos, dx, dy, dz) {
    if (!pos) return { ...this.unknown, height: dy };
    const [x, y, z] = [Math.floor(pos.x + dx), Math.floor(pos.y + dy), Math.floor(pos.z + dz)];
    if (this.column === null || this.column.x !== x >> 4 || this.column.z !== z >> 4) {
      const chunk = this.bot.world.getColumn(x >> 4, z >> 4);
      if (!chunk) return { ...this.unknown, height: y };
      this.column = { x: x >> 4, z: z >> 4, chunk };
    }
    const kind = this.kind(this.column.chunk.getBlockStateId({ x: x & 15, y, z: z & 15 }));
    const block = Object.create(kind);
    block.position = new Vec3(x, y, z);
    block.height = pos.y + dy + kind.top;
    return block;
  }

  kind(state) {
    let kind = this.kinds.get(state);
    if (kind === undefined) {
      kind = this.Block.fromStateId(state, 0);
      const { type } = kind;
      kind.climbable = this.climbables.has(type);
      kind.safe = (kind.boundingBox === 'empty' || kind.climbable || this.carpets.has(type)) && !this.blocksToAvoid.has(type);
      kind.physical = kind.boundingBox === 'block' && !this.fences.has(type);
      kind.replaceable = this.replaceables.has(type) && !kind.physical;
      kind.liquid = this.liquids.has(type);
      kind.canFall = this.gravityBlocks.has(type);
      kind.openable = this.openable.has(type);
      kind.top = Math.max(0, ...kind.shapes.map((shape) => shape[4]));
      this.kinds.set(state, kind);
    }
    return kind;
  }

  safeOrBreak(block, toBreak) {
    const cost = this.exclusionStep(block);
    if (block.safe) return cost;
    if (!this.safeToBreak(block)) return 100;
    toBreak.push(block.position);
    let labour = this.labour.get(block.stateId);
    if (labour === undefined) {
      const tool = this.bot.pathfinder.bestHarvestTool(block);
      labour = (1 + (3 * block.digTime(tool?.type ?? null, false, false, false, [], {})) / 1000) * this.digCost;
      this.labour.set(block.stateId, labour);
    }
    return cost + labour;
  }
}

module.exports = { Paths, GoalReach, GoalDepth };
