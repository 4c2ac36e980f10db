'use strict';
// A clock that the program turns by hand. Server and player live in one process, so no time passes outside of it: between two
// timers everything that is ready is done, and then time jumps to the next timer. The world runs as fast as the processor allows,
// and equal seeds and actions give equal worlds.

const perfHooks = require('perf_hooks');

const REAL = {
  setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, Date, random: Math.random,
  performanceNow: perfHooks.performance.now.bind(perfHooks.performance),
};

// Calls of `performance.now` within one moment that cost nothing, and the milliseconds that each further one takes. Path search
// limits itself by that clock; without a cost its search would never pause.
const FREE_CALLS = 64;
const CALL_MS = 0.05;

// The first moment of every world, in milliseconds since 1970.
const EPOCH = 1_600_000_000_000;

class ManualClock {
  constructor() {
    this.now = EPOCH;
    this.calls = 0;
    this.timers = new Map();
    this.nextId = 1;
  }

  /** Replaces the timers, the date and the random numbers of the process. */
  install() {
    const clock = this;
    global.setTimeout = (callback, delay, ...args) => clock.add(callback, delay, args, false);
    global.setInterval = (callback, delay, ...args) => clock.add(callback, delay, args, true);
    global.clearTimeout = global.clearInterval = (timer) => clock.remove(timer);
    perfHooks.performance.now = () => {
      clock.calls += 1;
      return clock.now - EPOCH + Math.max(0, clock.calls - FREE_CALLS) * CALL_MS;
    };
    global.Date = class extends REAL.Date {
      constructor(...args) {
        super(...(args.length === 0 ? [clock.now] : args));
      }

      static now() {
        return clock.now;
      }
    };
  }

  /** Forgets all timers and starts at the first moment, with random numbers of this seed. */
  restart(seed) {
    this.timers.clear();
    this.now = EPOCH;
    this.calls = 0;
    this.draw(seed);
  }

  /** Lets random numbers begin anew. */
  draw(seed) {
    Math.random = randomNumbers(seed);
  }

  add(callback, delay, args, repeats) {
    const every = Math.max(1, Number(delay) || 0);
    const timer = { id: this.nextId++, at: this.now + every, every, callback, args, repeats };
    timer.ref = timer.unref = () => timer;
    timer.hasRef = () => true;
    timer.refresh = () => {
      timer.at = this.now + every;
      this.timers.set(timer.id, timer);
      return timer;
    };
    timer[Symbol.toPrimitive] = () => timer.id;
    this.timers.set(timer.id, timer);
    return timer;
  }

  remove(timer) {
    if (timer !== undefined && timer !== null) this.timers.delete(typeof timer === 'object' ? timer.id : Number(timer));
  }

  /** Runs the next timer. False if there is none. */
  tick() {
    let next;
    for (const timer of this.timers.values()) {
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.id < next.id)) next = timer;
    }
    if (next === undefined) return false;
    this.now = Math.max(this.now, next.at);
    this.calls = 0;
    if (next.repeats) next.at = this.now + next.every;
    else this.timers.delete(next.id);
    try {
      next.callback(...next.args);
    } catch (error) {
      // A stray error of a library ends nothing else.
      process.stderr.write(`timer: ${error?.stack ?? error}\n`);
    }
    return true;
  }

  /** Lets time pass until the promise is settled. */
  async until(promise) {
    let settled = false;
    const done = () => { settled = true; };
    promise.then(done, done);
    for (;;) {
      await idle();
      if (settled) return promise;
      if (!this.tick()) throw new Error('the world stands still: nothing is left to wait for');
    }
  }
}

/** Waits until everything that is ready has been done: callbacks of streams and promises run before the next check phase. */
function idle() {
  return new Promise((resolve) => { REAL.setImmediate(() => REAL.setImmediate(resolve)); });
}

/** The clock of the system, for servers elsewhere. */
class SystemClock {
  install() {}

  restart() {}

  draw() {}

  get now() {
    return REAL.Date.now();
  }

  until(promise) {
    return promise;
  }
}

/** A generator of numbers from 0 to 1: mulberry32. */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

module.exports = { ManualClock, SystemClock, randomNumbers, realNow: REAL.performanceNow };
