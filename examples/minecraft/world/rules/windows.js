'use strict';
// Windows: the inventory, crafting tables, furnaces and chests of a player, and clicks in them.

const { CraftingBook } = require('./crafting');
const { Furnace } = require('./furnaces');

// The slots of an inventory that hold what a player carries.
const [FIRST, END] = [9, 45];
const OUTSIDE = -999;
// Kinds of windows: the number of the protocol, and the slots before those of the inventory.
const KINDS = {
  crafting_table: { type: 11, title: 'Crafting', own: 10 }, furnace: { type: 13, title: 'Furnace', own: 3 },
  chest: { type: 2, title: 'Chest', own: 27 },
};

/** What is stored in the blocks of the world. */
class Stores {
  constructor(makeItem) {
    this.makeItem = makeItem;
    this.furnaces = new Map();
    this.chests = new Map();
  }

  of(kind, position) {
    const [all, make] = kind === 'furnace'
      ? [this.furnaces, () => new Furnace(this.makeItem)] : [this.chests, () => ({ slots: Array(27).fill(null) })];
    const key = `${position}`;
    if (!all.has(key)) all.set(key, make());
    return all.get(key);
  }

  /** Takes what is stored in a block that is dug away. */
  remove(position) {
    const key = `${position}`;
    const store = this.furnaces.get(key) ?? this.chests.get(key);
    this.furnaces.delete(key);
    this.chests.delete(key);
    return (store?.slots ?? []).filter(Boolean);
  }
}

class PlayerWindows {
  /** `drop` throws an item into the world. */
  constructor(player, registry, stores, drop) {
    this.player = player;
    this.stores = stores;
    this.drop = drop;
    this.Item = require('prismarine-item')(registry);
    this.book = new CraftingBook(registry);
    this.cursor = null;
    this.grid = Array(9).fill(null);
    this.open = null;
    this.nextId = 1;
  }

  /** Opens the window of a block. */
  openBlock(kind, position) {
    this.close();
    const { type, title, own } = KINDS[kind];
    this.nextId = (this.nextId % 100) + 1;
    const store = kind === 'crafting_table' ? null : this.stores.of(kind, position);
    this.open = { id: this.nextId, kind, own, store };
    const client = this.player._client;
    client.write('open_window', { windowId: this.open.id, inventoryType: type, windowTitle: JSON.stringify({ text: title }) });
    const items = Array.from({ length: own + END - FIRST }, (_, slot) => this.Item.toNotch(this.get(slot)));
    client.write('window_items', { windowId: this.open.id, items });
  }

  /** Returns what lies in the grid and on the cursor to the inventory. */
  close() {
    const width = this.width();
    for (let square = 0; square < width * width; square++) {
      const item = this.square(square);
      if (item) this.giveOrDrop(item);
      this.setSquare(square, null);
    }
    if (this.cursor) this.giveOrDrop(this.cursor);
    this.cursor = null;
    this.open = null;
    this.resend();
  }

  width() {
    if (this.open === null) return 2;
    return this.open.kind === 'crafting_table' ? 3 : 0;
  }

  square(at) {
    return this.open === null ? this.player.inventory.slots[1 + at] ?? null : this.grid[at];
  }

  setSquare(at, item) {
    if (this.open === null) this.player.inventory.slots[1 + at] = item;
    else this.grid[at] = item;
  }

  result() {
    const width = this.width();
    const rows = Array.from({ length: width }, (_, y) =>
      Array.from({ length: width }, (__, x) => this.square(y * width + x)?.type ?? -1));
    const made = this.book.result(rows);
    return made && new this.Item(made.id, made.count);
  }

  /** The item in a slot of the window. */
  get(slot) {
    const width = this.width();
    if (width > 0 && slot === 0) return this.result();
    if (width > 0 && slot <= width * width) return this.square(slot - 1);
    if (this.open === null) return this.player.inventory.slots[slot] ?? null;
    if (slot < this.open.own) return this.open.store.slots[slot];
    return this.player.inventory.slots[slot - this.open.own + FIRST] ?? null;
  }

  set(slot, item) {
    const width = this.width();
    if (width > 0 && slot <= width * width) this.setSquare(slot - 1, item);
    else if (this.open !== null && slot < this.open.own) this.open.store.slots[slot] = item;
    else this.player.inventory.slots[this.open === null ? slot : slot - this.open.own + FIRST] = item;
    if (item) item.slot = slot;
  }

  slots() {
    return this.open === null ? END + 1 : this.open.own + END - FIRST;
  }

  /** Carries out a click. Returns whether it is possible. */
  click({ slot, mouseButton, mode }) {
    if (mode === 0 && slot === OUTSIDE) return this.throwCursor(mouseButton === 1);
    if (!Number.isInteger(slot) || slot < 0 || slot >= this.slots()) return slot === OUTSIDE || slot === -1;
    if (mode === 1) return this.shiftClick(slot);
    if (mode === 4) return this.throwSlot(slot, mouseButton === 1);
    if (mode !== 0) return false;
    if (this.takesOnly(slot)) return this.takeResult(slot);
    return mouseButton === 0 ? this.leftClick(slot) : this.rightClick(slot);
  }

  /** Slots of which one can only take: results of crafting and smelting. */
  takesOnly(slot) {
    return (this.width() > 0 && slot === 0) || (this.open?.kind === 'furnace' && slot === 2);
  }

  takeResult(slot) {
    const item = this.get(slot);
    if (!item) return true;
    const { cursor } = this;
    if (cursor && (cursor.type !== item.type || cursor.count + item.count > cursor.stackSize)) return false;
    if (cursor) cursor.count += item.count;
    else this.cursor = new this.Item(item.type, item.count);
    this.consume(slot);
    return true;
  }

  /** Takes away what a result is made of. */
  consume(slot) {
    const width = this.width();
    if (width === 0) {
      this.set(slot, null);
      return;
    }
    for (let at = 0; at < width * width; at++) {
      const used = this.square(at);
      if (!used) continue;
      used.count -= 1;
      if (used.count === 0) this.setSquare(at, null);
    }
  }

  leftClick(slot) {
    const [item, { cursor }] = [this.get(slot), this];
    if (item && cursor && item.type === cursor.type) {
      const moved = Math.min(cursor.count, item.stackSize - item.count);
      item.count += moved;
      cursor.count -= moved;
      if (cursor.count === 0) this.cursor = null;
    } else {
      this.set(slot, cursor);
      this.cursor = item;
    }
    return true;
  }

  rightClick(slot) {
    const [item, { cursor }] = [this.get(slot), this];
    if (!cursor && item) {
      const half = Math.ceil(item.count / 2);
      this.cursor = new this.Item(item.type, half);
      item.count -= half;
      if (item.count === 0) this.set(slot, null);
    } else if (cursor && !item) {
      this.set(slot, new this.Item(cursor.type, 1));
      this.lessCursor(1);
    } else if (cursor && item.type === cursor.type && item.count < item.stackSize) {
      item.count += 1;
      this.lessCursor(1);
    } else if (cursor && item.type !== cursor.type) {
      this.set(slot, cursor);
      this.cursor = item;
    }
    return true;
  }

  shiftClick(slot) {
    const item = this.get(slot);
    if (!item) return true;
    const own = this.open === null ? FIRST : this.open.own;
    if (slot >= own && this.open === null) return false;
    const room = slot >= own ? this.storeRoom(item, own) : this.room(item);
    if (room < item.count) return false;
    if (slot >= own) this.moveToStore(item, own);
    else this.give(new this.Item(item.type, item.count));
    if (this.takesOnly(slot)) this.consume(slot);
    else this.set(slot, null);
    return true;
  }

  storeRoom(item, own) {
    if (this.open.kind !== 'chest') return 0;
    return this.open.store.slots.slice(0, own).reduce((room, other) => room + space(other, item), 0);
  }

  moveToStore(item, own) {
    fill(this.open.store.slots, 0, own, item, (count) => new this.Item(item.type, count));
  }

  throwCursor(one) {
    if (!this.cursor) return true;
    const count = one ? 1 : this.cursor.count;
    this.drop(this.cursor.name, count);
    this.lessCursor(count);
    return true;
  }

  throwSlot(slot, all) {
    const item = this.get(slot);
    if (!item || this.takesOnly(slot)) return true;
    const count = all ? item.count : 1;
    this.drop(item.name, count);
    item.count -= count;
    if (item.count === 0) this.set(slot, null);
    return true;
  }

  lessCursor(count) {
    this.cursor.count -= count;
    if (this.cursor.count === 0) this.cursor = null;
  }

  /** How many of an item the inventory can still take. */
  room(item) {
    return this.player.inventory.slots.slice(FIRST, END).reduce((room, other) => room + space(other, item), 0);
  }

  /** Puts an item into the inventory; returns the number that found no room. */
  give(item) {
    const { slots } = this.player.inventory;
    const make = (count) => new this.Item(item.type, count);
    // The hotbar first, as a player's hands do.
    let left = fill(slots, END - 9, END, item, make, true);
    left = fill(slots, FIRST, END, { ...item, type: item.type, stackSize: item.stackSize, count: left }, make, true);
    left = fill(slots, END - 9, END, { type: item.type, stackSize: item.stackSize, count: left }, make);
    left = fill(slots, FIRST, END, { type: item.type, stackSize: item.stackSize, count: left }, make);
    return left;
  }

  giveOrDrop(item) {
    const left = this.give(item);
    if (left > 0) this.drop(item.name, left);
  }

  /** Shows the player all slots. */
  resend() {
    const { Item, player } = this;
    const items = Array.from({ length: END + 1 }, (_, slot) => Item.toNotch(player.inventory.slots[slot] ?? null));
    player._client.write('window_items', { windowId: 0, items });
  }

  /** Shows the player one slot of the open window. */
  show(slot) {
    const windowId = this.open?.id ?? 0;
    this.player._client.write('set_slot', { windowId, slot, item: this.Item.toNotch(this.get(slot)) });
  }

  /** Whether the store of this block is on the screen. */
  shows(store) {
    return this.open !== null && this.open.store === store;
  }
}

function space(other, item) {
  if (!other) return item.stackSize;
  return other.type === item.type ? other.stackSize - other.count : 0;
}

/** Fills slots with an item, stacks of its kind first; with `stacks` only those. Returns the number that is left. */
function fill(slots, from, to, item, make, stacks = false) {
  let left = item.count;
  for (const started of stacks ? [true] : [true, false]) {
    for (let at = from; at < to && left > 0; at++) {
      const other = slots[at];
      if (started ? other?.type !== item.type : other) continue;
      const moved = Math.min(left, space(other, item));
      if (other) other.count += moved;
      else slots[at] = Object.assign(make(moved), { slot: at });
      left -= moved;
    }
  }
  return left;
}

module.exports = { PlayerWindows, Stores };
