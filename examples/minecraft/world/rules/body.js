'use strict';
// A player's body: health, hunger, breath, falls, burns, eating.

const EAT_TICKS = 32;
// Ticks that a breath lasts.
const BREATH = 300;
// Exhaustion that costs one point of saturation, or of food after that.
const POINT = 4;

class Body {
  constructor(player, blockName, knowledge) {
    this.player = player;
    this.blockName = blockName;
    this.knowledge = knowledge;
    player.food = 20;
    player.health = 20;
    player.foodSaturation = 5;
    this.exhaustion = 0;
    this.breath = BREATH;
    this.healing = 0;
    this.top = null;
    this.last = null;
    this.eating = null;
    this.cause = null;
    this.hurtAt = -100;
    this.age = 0;
  }

  exhaust(amount) {
    this.exhaustion += amount;
  }

  /** Hurts the player. Blows within half a second of another do nothing, as in Minecraft. */
  hurt(points, cause) {
    if (this.player.health <= 0 || this.age - this.hurtAt < 10) return false;
    this.hurtAt = this.age;
    this.cause = cause;
    this.exhaust(0.1);
    this.player.health = Math.max(0, this.player.health - points);
    this.send();
    this.player._client.write('entity_status', { entityId: this.player.id, entityStatus: 2 });
    return true;
  }

  send() {
    const { health, food, foodSaturation } = this.player;
    this.player._client.write('update_health', { health, food, foodSaturation });
  }

  /** Starts to eat what is held. */
  eat(held, took) {
    if (this.knowledge.food(held?.name) && this.player.food < 20) this.eating = { item: held, took, until: this.age + EAT_TICKS };
  }

  stopEating() {
    this.eating = null;
  }

  finishEating() {
    const { item, took } = this.eating;
    this.eating = null;
    const food = this.knowledge.food(item.name);
    if (!took(item)) return;
    this.player.food = Math.min(20, this.player.food + food.foodPoints);
    this.player.foodSaturation = Math.min(this.player.food, this.player.foodSaturation + food.saturation);
    this.player._client.write('entity_status', { entityId: this.player.id, entityStatus: 9 });
    this.send();
  }

  tick() {
    this.age += 1;
    if (this.player.health <= 0) return;
    if (this.eating && this.age >= this.eating.until) this.finishEating();
    this.move();
    this.breathe();
    this.digest();
  }

  move() {
    const { position, onGround } = this.player;
    const inside = this.blockName(position);
    const swims = inside === 'water';
    if (this.last) {
      const [dx, dz] = [position.x - this.last.x, position.z - this.last.z];
      const distance = Math.hypot(dx, dz);
      // Running costs ten times what walking does: nothing in this version.
      this.exhaust(distance > 0.25 ? distance * 0.1 : swims ? distance * 0.01 : 0);
    }
    this.last = position.clone();
    if (this.top === null || swims || position.y > this.top) this.top = position.y;
    if (onGround) {
      const fall = this.top - position.y;
      this.top = position.y;
      if (fall > 3.5 && !swims) this.hurt(Math.ceil(fall - 3), 'fell from too high');
    }
    if (inside === 'lava' || this.blockName(position.offset(0, -0.1, 0)) === 'lava') this.hurt(4, 'burnt in lava');
    if (position.y < -10) this.hurt(20, 'fell out of the world');
  }

  breathe() {
    const under = this.blockName(this.player.position.offset(0, 1.62, 0)) === 'water';
    this.breath = under ? this.breath - 1 : Math.min(BREATH, this.breath + 4);
    if (this.breath <= 0 && this.breath % 20 === 0) this.hurt(2, 'drowned');
  }

  digest() {
    const { player } = this;
    const before = [player.food, player.health].join();
    if (this.exhaustion >= POINT) {
      this.exhaustion -= POINT;
      if (player.foodSaturation > 0) player.foodSaturation = Math.max(0, player.foodSaturation - 1);
      else player.food = Math.max(0, player.food - 1);
    }
    this.healing += 1;
    if (player.food >= 18 && player.health < 20 && this.healing >= 80) {
      player.health = Math.min(20, player.health + 1);
      this.exhaust(6);
      this.healing = 0;
    } else if (player.food === 0 && player.health > 1 && this.healing >= 80) {
      this.healing = 0;
      this.hurt(1, 'starved');
    }
    if (before !== [player.food, player.health].join()) this.send();
  }
}

module.exports = { Body };
