'use strict';
// What a player's hands do: dig, place, open, hit, throw, pick up. The server judges each of it.

const { Vec3 } = require('vec3');

const REACH = 6;
const FACES = [[0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1], [-1, 0, 0], [1, 0, 0]].map(([x, y, z]) => new Vec3(x, y, z));
const OPENS = ['crafting_table', 'furnace', 'chest'];
// Blocks that give way to one that is placed there.
const REPLACEABLE = ['air', 'cave_air', 'water', 'lava', 'grass', 'tall_grass'];
const NEEDS_GROUND = ['oak_sapling', 'torch'];
// A dig may be announced this many milliseconds early: the last tick is under way.
const TOLERANCE = 60;
// Blocks that a jumping player may be higher than the last message said.
const JUMP = 0.6;

class Hands {
  constructor(parts) {
    const { player, serv, ground, knowledge, windows, body, mobs, stores, random } = parts;
    Object.assign(this, { player, serv, ground, knowledge, windows, body, mobs, stores, random });
    this.digging = null;
    const client = player._client;
    const take = (packet, handler) => {
      client.removeAllListeners(packet);
      client.on(packet, (data) => handler.call(this, data ?? {}));
    };
    take('block_dig', this.dig);
    take('block_place', this.place);
    take('use_item', this.use);
    take('use_entity', this.hit);
    take('window_click', this.click);
    take('close_window', () => windows.close());
    take('set_creative_slot', () => {});
  }

  held() {
    return this.player.inventory.slots[36 + this.player.heldItemSlot] ?? null;
  }

  reaches(position) {
    return position.offset(0.5, 0.5, 0.5).distanceTo(this.player.position.offset(0, 1.62, 0)) <= REACH;
  }

  /** Takes one of what is held. */
  takeHeld(item, count = 1) {
    if (this.held() !== item) return false;
    item.count -= count;
    if (item.count <= 0) this.player.inventory.slots[36 + this.player.heldItemSlot] = null;
    this.windows.resend();
    return true;
  }

  dig({ location, status }) {
    if (status === 5) return this.body.stopEating();
    if (status === 3 || status === 4) return this.throwHeld(status === 3);
    if (status > 2) return undefined;
    const position = new Vec3(location.x, location.y, location.z);
    const block = this.ground.block(position);
    if (status === 1 || !block || !this.reaches(position)) {
      this.digging = null;
      return this.answer(position, block, status, status === 1);
    }
    if (status === 0) {
      this.digging = { position, start: Date.now(), time: this.digTime(block) };
      return this.answer(position, block, 0, true);
    }
    const begun = this.digging;
    this.digging = null;
    const done = begun?.position.equals(position) && Date.now() - begun.start + TOLERANCE >= begun.time;
    if (!done || !block.diggable) return this.answer(position, block, 2, false);
    this.body.exhaust(0.005);
    const drops = this.knowledge.drops(block.name, this.held()?.name, this.random);
    const stored = this.stores.remove(position).map((item) => [item.name, item.count]);
    this.ground.set(position, 'air');
    this.answer(position, null, 2, true);
    for (const [item, count] of [...drops, ...stored]) this.ground.drop(item, count, position.offset(0.5, 0.25, 0.5));
    return undefined;
  }

  digTime(block) {
    const inWater = this.ground.name(this.player.position.offset(0, 1.62, 0)) === 'water';
    return block.digTime(this.held()?.type ?? null, false, inWater, !this.player.onGround, [], {});
  }

  answer(location, block, status, successful) {
    this.player._client.write('acknowledge_player_digging', { location, block: block?.stateId ?? 0, status, successful });
    if (!successful && block) this.player._client.write('block_change', { location, type: block.stateId });
  }

  throwHeld(all) {
    const item = this.held();
    if (!item) return;
    const count = all ? item.count : 1;
    if (this.takeHeld(item, count)) this.windows.drop(item.name, count);
  }

  place({ location, direction }) {
    if (location === undefined || FACES[direction] === undefined) return;
    const against = new Vec3(location.x, location.y, location.z);
    const block = this.ground.block(against);
    if (!block || !this.reaches(against)) return;
    if (OPENS.includes(block.name) && !this.player.crouching) {
      this.windows.openBlock(block.name, against);
      return;
    }
    const item = this.held();
    const name = item?.name;
    const at = REPLACEABLE.includes(block.name) ? against : against.plus(FACES[direction]);
    const there = this.ground.name(at);
    const solid = this.serv.registry.blocksByName[name]?.boundingBox === 'block';
    const allowed = item && this.serv.registry.blocksByName[name] && REPLACEABLE.includes(there)
      && !(solid && this.inTheWay(at)) && !(NEEDS_GROUND.includes(name) && !this.ground.solid(at.offset(0, -1, 0)));
    // As the game does: first the block that was clicked, then the one beside it.
    this.ground.show(against);
    if (!allowed || !this.takeHeld(item)) {
      this.ground.show(at);
      this.windows.resend();
      return;
    }
    this.ground.set(at, name);
  }

  /** Whether a block there would be inside a player or creature. */
  inTheWay(at) {
    const bodies = [this.player, ...this.mobs.all];
    // The server hears of a jump a moment late.
    return bodies.some(({ position }) => Math.abs(position.x - at.x - 0.5) < 0.75 && Math.abs(position.z - at.z - 0.5) < 0.75
      && position.y + JUMP < at.y + 1 && position.y + 1.8 > at.y);
  }

  use() {
    const item = this.held();
    this.body.eat(item, (eaten) => this.takeHeld(eaten));
  }

  hit({ target, mouse }) {
    const mob = this.serv.entities[target];
    if (mouse !== 1 || !mob || mob.position.distanceTo(this.player.position) > REACH) return;
    this.body.exhaust(0.1);
    this.mobs.struck(mob, this.knowledge.damage(this.held()?.name), this.serv.tickCount);
  }

  click(click) {
    const { windows } = this;
    const open = windows.open?.id ?? 0;
    let accepted = false;
    if (click.windowId === open) accepted = windows.click(click);
    this.player._client.write('transaction', { windowId: click.windowId, action: click.action, accepted });
    if (!accepted) windows.resend();
    if (windows.width() > 0) windows.show(0);
  }
}

module.exports = { Hands, REPLACEABLE };
