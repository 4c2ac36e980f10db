'use strict';
// The land of the small world: hills, lakes, woods, caves, ores. A function of the seed.
//
// It is flatter and shallower than Minecraft's own: the sea lies at height 40 and the ground between 36 and 62, so that the deep
// ores are near. Ores are as deep below the ground, in proportion, and as rare as they are there.

const { hash, noise2, noise3 } = require('./noise');

const SEA = 40;
const BEDROCK = 1;
// Lava fills caves up to this height.
const LAVA = 9;

// Ore, veins in a chunk, blocks in a vein, greatest height.
const ORES = [
  ['coal_ore', 9, 9, 56], ['iron_ore', 8, 6, 40], ['gold_ore', 2, 5, 20], ['redstone_ore', 3, 5, 14], ['lapis_ore', 1, 5, 20],
  ['diamond_ore', 1, 5, 14],
];

/**
 * Whether mineflayer takes the middle of this column for one of the next chunk: it cuts a coordinate's fraction off towards zero. A player
 * who appears there would wait for chunks that are out of the server's sight.
 */
const roundsWrong = (at) => at < 0 && (at & 15) === 15;

class Land {
  constructor(registry, seed) {
    this.seed = seed;
    this.Chunk = require('prismarine-chunk')(registry);
    this.registry = registry;
    this.state = (name) => registry.blocksByName[name].defaultState;
  }

  /** Height of the ground: the topmost block that is neither water nor a plant. */
  height(x, z) {
    const { seed } = this;
    const base = SEA + 3 + 10 * (noise2(seed, x, z, 72) - 0.5) + 4 * (noise2(seed + 1, x, z, 24) - 0.5);
    const mountain = Math.max(0, noise2(seed + 2, x, z, 160) - 0.62) * 42;
    return Math.floor(base + mountain);
  }

  /** Name of the biome, as Minecraft calls it. */
  biome(x, z) {
    if (this.height(x, z) < SEA - 1) return 'ocean';
    if (noise2(this.seed + 2, x, z, 160) > 0.68) return 'mountains';
    return noise2(this.seed + 3, x, z, 96) > 0.42 ? 'forest' : 'plains';
  }

  /** A place in the open where a player can start: dry, in a wood or at its edge. */
  spawn() {
    for (let round = 0; round < 400; round++) {
      const angle = round * 2.4;
      const distance = round * 3;
      const [x, z] = [Math.floor(Math.cos(angle) * distance), Math.floor(Math.sin(angle) * distance)];
      const y = this.height(x, z);
      if (roundsWrong(x) || roundsWrong(z)) continue;
      if (y > SEA + 1 && this.biome(x, z) === 'forest' && !this.tree(x, z)) return { x: x + 0.5, y: y + 1, z: z + 0.5 };
    }
    return { x: 0.5, y: Math.max(this.height(0, 0), SEA) + 1, z: 0.5 };
  }

  /** Whether a trunk stands there or touches it. */
  tree(x, z) {
    const [cx, cz] = [x >> 4, z >> 4];
    return this.trees(cx, cz).some((tree) => Math.abs(tree.x - x) <= 1 && Math.abs(tree.z - z) <= 1);
  }

  trees(cx, cz) {
    const { seed } = this;
    const wanted = this.biome(cx * 16 + 8, cz * 16 + 8) === 'forest' ? 5 : 1;
    const trees = [];
    for (let i = 0; i < wanted; i++) {
      const x = cx * 16 + 2 + Math.floor(hash(seed + 11, cx, i, cz) * 12);
      const z = cz * 16 + 2 + Math.floor(hash(seed + 12, cx, i, cz) * 12);
      const far = trees.every((tree) => Math.abs(tree.x - x) > 2 || Math.abs(tree.z - z) > 2);
      const ground = this.height(x, z);
      if (far && ground > SEA + 1) trees.push({ x, z, ground, tall: 4 + Math.floor(hash(seed + 13, cx, i, cz) * 3) });
    }
    return trees;
  }

  /** Whether a cave is there. */
  cave(x, y, z) {
    if (y < 5) return false;
    const { seed } = this;
    const a = noise3(seed + 21, x, y * 1.6, z, 22) - 0.5;
    if (Math.abs(a) > 0.045) return false;
    return Math.abs(noise3(seed + 22, x, y * 1.6, z, 22) - 0.5) < 0.06;
  }

  chunk(cx, cz) {
    const chunk = new this.Chunk();
    const at = { x: 0, y: 0, z: 0 };
    const put = (x, y, z, state) => {
      [at.x, at.y, at.z] = [x, y, z];
      chunk.setBlockStateId(at, state);
    };
    const names = ['air', 'bedrock', 'stone', 'dirt', 'grass_block', 'sand', 'water', 'lava'];
    const [air, bedrock, stone, dirt, grass, sand, water, lava] = names.map(this.state);
    for (let x = 0; x < 16; x++) {
      for (let z = 0; z < 16; z++) {
        const [wx, wz] = [cx * 16 + x, cz * 16 + z];
        const ground = this.height(wx, wz);
        const shore = ground <= SEA;
        const bare = this.biome(wx, wz) === 'mountains';
        for (let y = 0; y <= Math.max(ground, SEA); y++) {
          if (y < BEDROCK) put(x, y, z, bedrock);
          else if (y > ground) put(x, y, z, water);
          else if (y < ground - 1 && !(shore && y > ground - 5) && this.cave(wx, y, wz)) put(x, y, z, y <= LAVA ? lava : air);
          else if (y < ground - 3 || bare) put(x, y, z, stone);
          else if (shore) put(x, y, z, sand);
          else put(x, y, z, y === ground ? grass : dirt);
        }
      }
    }
    this.putOres(chunk, cx, cz, put, stone);
    this.putTrees(cx, cz, put);
    const biomes = new Map();
    for (let x = 0; x < 16; x += 4) {
      for (let z = 0; z < 16; z += 4) {
        const name = this.biome(cx * 16 + x, cz * 16 + z);
        if (!biomes.has(name)) biomes.set(name, this.registry.biomesByName[name]?.id ?? 1);
        for (let y = 0; y < 256; y += 4) chunk.setBiome({ x, y, z }, biomes.get(name));
      }
    }
    return chunk;
  }

  putOres(chunk, cx, cz, put, stone) {
    ORES.forEach(([ore, veins, size, top], kind) => {
      const state = this.state(ore);
      for (let vein = 0; vein < veins; vein++) {
        const chance = (part) => hash(this.seed + 31 + kind, cx * 64 + vein, part, cz);
        let [x, y, z] = [Math.floor(chance(0) * 16), 3 + Math.floor(chance(1) * (top - 3)), Math.floor(chance(2) * 16)];
        const blocks = Math.ceil(size * (0.5 + chance(3) / 2));
        for (let block = 0; block < blocks; block++) {
          if (chunk.getBlockStateId({ x, y, z }) === stone) put(x, y, z, state);
          const way = Math.floor(chance(4 + block) * 6);
          if (way < 2) x = Math.min(15, Math.max(0, x + (way === 0 ? 1 : -1)));
          else if (way < 4) z = Math.min(15, Math.max(0, z + (way === 2 ? 1 : -1)));
          else y = Math.max(3, y + (way === 4 ? 1 : -1));
        }
      }
    });
  }

  putTrees(cx, cz, put) {
    const [log, leaves] = [this.state('oak_log'), this.state('oak_leaves')];
    for (const { x, z, ground, tall } of this.trees(cx, cz)) {
      const [lx, lz, top] = [x - cx * 16, z - cz * 16, ground + tall];
      for (let y = top - 2; y <= top + 1; y++) {
        const wide = y < top ? 2 : 1;
        for (let dx = -wide; dx <= wide; dx++) {
          for (let dz = -wide; dz <= wide; dz++) {
            if (Math.abs(dx) + Math.abs(dz) < 2 * wide || y === top - 2) put(lx + dx, y, lz + dz, leaves);
          }
        }
      }
      for (let y = ground + 1; y <= top; y++) put(lx, y, lz, log);
    }
  }
}

module.exports = { roundsWrong, Land, SEA };
