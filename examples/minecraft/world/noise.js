'use strict';
// Random numbers that depend on a place and a seed only, and smooth noise made of them.

/** A number from 0 to 1 for three integers. */
function hash(seed, x, y, z) {
  let h = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ Math.imul(z, 0x9e3779b1) ^ Math.imul(seed, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return ((h ^ (h >>> 15)) >>> 0) / 4294967296;
}

const smooth = (t) => t * t * (3 - 2 * t);
const mix = (a, b, t) => a + (b - a) * t;

/** Smooth noise from 0 to 1 in the plane; `scale` is the distance between its hills. */
function noise2(seed, x, z, scale) {
  const [fx, fz] = [x / scale, z / scale];
  const [ix, iz] = [Math.floor(fx), Math.floor(fz)];
  const [tx, tz] = [smooth(fx - ix), smooth(fz - iz)];
  return mix(
    mix(hash(seed, ix, 0, iz), hash(seed, ix + 1, 0, iz), tx),
    mix(hash(seed, ix, 0, iz + 1), hash(seed, ix + 1, 0, iz + 1), tx),
    tz,
  );
}

/** Smooth noise from 0 to 1 in space. */
function noise3(seed, x, y, z, scale) {
  const fy = y / scale;
  const iy = Math.floor(fy);
  // Each layer of the lattice is noise in the plane with a seed of its own.
  return mix(noise2(seed + iy * 7919, x, z, scale), noise2(seed + (iy + 1) * 7919, x, z, scale), smooth(fy - iy));
}

module.exports = { hash, noise2, noise3 };
