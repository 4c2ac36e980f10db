'use strict';
// Furnaces: they burn fuel and smelt, whether or not somebody looks.

const { SMELTING, SMELT_TICKS, FUEL } = require('./knowledge');

const [INPUT, FUEL_SLOT, OUTPUT] = [0, 1, 2];

class Furnace {
  constructor(makeItem) {
    this.makeItem = makeItem;
    this.slots = [null, null, null];
    this.burning = 0;
    this.progress = 0;
  }

  /** Lets one tick pass. Returns the slots that changed. */
  tick() {
    const changed = [];
    const input = this.slots[INPUT];
    const made = input && SMELTING[input.name];
    const output = this.slots[OUTPUT];
    const room = output === null || (output.name === made && output.count < output.stackSize);
    if (this.burning > 0) this.burning -= 1;
    if (!made || !room) {
      this.progress = 0;
      return changed;
    }
    if (this.burning === 0) {
      const fuel = this.slots[FUEL_SLOT];
      if (!fuel || !FUEL[fuel.name]) {
        this.progress = 0;
        return changed;
      }
      this.burning = FUEL[fuel.name];
      this.take(FUEL_SLOT);
      changed.push(FUEL_SLOT);
    }
    this.progress += 1;
    if (this.progress >= SMELT_TICKS) {
      this.progress = 0;
      this.take(INPUT);
      if (output === null) this.slots[OUTPUT] = this.makeItem(made, 1);
      else output.count += 1;
      changed.push(INPUT, OUTPUT);
    }
    return changed;
  }

  take(slot) {
    this.slots[slot].count -= 1;
    if (this.slots[slot].count === 0) this.slots[slot] = null;
  }
}

module.exports = { Furnace };
