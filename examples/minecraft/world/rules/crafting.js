'use strict';
// The result of what lies in a crafting grid.

/** Cuts empty rows and columns off a grid of item ids, -1 for an empty square. */
function trim(grid) {
  const used = (row) => row.some((id) => id !== -1);
  const rows = grid.slice(grid.findIndex(used), grid.length - [...grid].reverse().findIndex(used));
  const columns = grid[0].map((_, x) => rows.some((row) => row[x] !== -1));
  const [first, last] = [columns.indexOf(true), columns.lastIndexOf(true)];
  return rows.map((row) => row.slice(first, last + 1));
}

class CraftingBook {
  constructor(registry) {
    this.shaped = new Map();
    this.shapeless = new Map();
    const { Recipe } = require('prismarine-recipe')(registry);
    for (const id of Object.keys(registry.recipes)) {
      for (const recipe of Recipe.find(Number(id), null)) {
        if (recipe.inShape) {
          const shape = trim(recipe.inShape.map((row) => row.map((item) => item.id)));
          this.shaped.set(JSON.stringify(shape), recipe.result);
          this.shaped.set(JSON.stringify(shape.map((row) => [...row].reverse())), recipe.result);
        } else if (recipe.ingredients) {
          this.shapeless.set(recipe.ingredients.map((item) => item.id).sort().join(), recipe.result);
        }
      }
    }
  }

  /** The item id and count that a square grid of item ids makes, or null. */
  result(grid) {
    const ids = grid.flat().filter((id) => id !== -1);
    if (ids.length === 0) return null;
    return this.shaped.get(JSON.stringify(trim(grid))) ?? this.shapeless.get(ids.sort().join()) ?? null;
  }
}

module.exports = { CraftingBook };
