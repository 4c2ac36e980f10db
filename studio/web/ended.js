// How a run ended: what fell before the agent died, what it knew then, and where another future can begin.

import { debounced, fill, h, s, say } from "./dom.js";
import { clock, count, counted, cut } from "./format.js";
import { recalled } from "./moment.js";

/** The reasons of a run that did not die, by its status. */
const STANDS = { running: "It is under way.", paused: "It is paused, and can be resumed.", "cut off": "Its process ended without a word: it was killed, or the computer stopped. It can be resumed.", failed: "It failed." };

/** Records before a death in which the last look at the world is searched for. */
const LOOK_BACK = 16;
/** The most deaths among which the one of the chosen record is found. */
const MOST_DEATHS = 2000;
const DECLINE_COLOURS = ["fell-1", "fell-2", "fell-3", "fell-4"];

/** A number as the state has it, to two digits after the point. */
const short_ = (value) => (value === null || value === undefined ? "–" : String(Number(value.toFixed(2))));

/** The numbers that fell, as lines over the last steps, with a mark where the first of them began to fall. */
export function declinePlot({ steps, fallen }) {
  const [width, height, left, right, top, bottom] = [340, 120, 30, 8, 8, 20];
  const values = fallen.flatMap((one) => one.values.filter((value) => value !== null));
  const [low, high] = [Math.min(0, ...values), Math.max(1, ...values)];
  const x = (index) => left + (index / Math.max(1, steps.length - 1)) * (width - left - right);
  const y = (value) => height - bottom - ((value - low) / (high - low)) * (height - top - bottom);
  const line = (points) => {
    let path = "";
    points.forEach((value, index) => {
      if (value === null) return;
      path += path ? `H${x(index).toFixed(1)}V${y(value).toFixed(1)}` : `M${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    });
    return path;
  };
  const [worst] = fallen;
  const words = fallen.map((one) => `${one.name} from ${short_(one.values[one.from])} to ${short_(one.values[one.values.length - 1])}`).join(", ");
  return h("figure", { class: "decline" }, s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `The last ${counted(steps.length - 1, "step")}: ${words}` },
    s("line", { class: "axis", x1: left, x2: width - right, y1: y(low), y2: y(low) }),
    s("text", { x: left - 5, y: y(high) + 8, "text-anchor": "end" }, short_(high)), s("text", { x: left - 5, y: y(low) + 4, "text-anchor": "end" }, short_(low)),
    s("text", { x: left, y: height - 5 }, `${steps.length - 1} steps before`), s("text", { x: width - right, y: height - 5, "text-anchor": "end" }, "the end"),
    s("line", { class: "began", x1: x(worst.from), x2: x(worst.from), y1: top, y2: height - bottom }),
    fallen.map((one, index) => s("path", { class: DECLINE_COLOURS[index], d: line(one.values) }))),
  h("figcaption", { class: "note" }, fallen.map((one, index) => [h("span", { class: `key ${DECLINE_COLOURS[index]}`, "aria-hidden": "true" }, ["—", "- -", "···", "-·-"][index]), ` ${one.name} `])));
}

/** What became of the numbers that fell, in sentences: the first of them fell, others were used up before. */
function declineWords({ steps, fallen }) {
  const last = steps.length - 1;
  return fallen.map((one, index) => {
    const [top, end] = [one.values[one.from], one.values[last]];
    const gone = end === 0 && last - one.reached > 0;
    const words = index > 0 && gone ? ` had been at 0 for ${counted(last - one.reached, "step")}.` : ` fell from ${short_(top)} to ${short_(end)} in its last ${counted(last - one.from, "step")}.`;
    return [index > 0 && " ", h("b", {}, one.name), words];
  });
}

export class Ended {
  /** `seek(seq)` shows a record, and `frameAt(seq)` is the world at one; `fork(seq)` asks for a fork after it and `again(fall)` for a try, where that is possible. */
  constructor({ source, times, seek, frameAt, fork = null, again = null }) {
    // What it leads to is below it: it makes room.
    const leave = (seq) => {
      this.details.open = false;
      seek(seq);
    };
    Object.assign(this, { source, times, seek: leave, frameAt, fork, again, death: 0, known: "", stand: "", deaths: [], chosen: 0, drawn: 0 });
    // What was read of a death does not change.
    this.read = new Map();
    this.words = h("span", { class: "ended-words" });
    this.body = h("div", { class: "ended-body" });
    this.details = h("details", { class: "ended", ontoggle: () => { if (this.details.open) this.drawBody().catch((error) => this.failed(error)); } },
      h("summary", {}, h("b", {}, "How it ended"), " ", this.words), this.body);
    this.otherwise = h("button", { type: "button", class: "primary", hidden: true, onclick: () => this.tryOtherwise() }, "What would have happened otherwise?");
    this.view = h("div", { class: "card ended-card" }, this.details, again && h("div", { class: "ended-actions" }, this.otherwise));
    this.followSoon = debounced(250, () => this.chooseFor(this.chosen).catch(() => {}));
  }

  /** Opens it and goes there. */
  async open() {
    this.details.open = true;
    if (this.chosen) await this.chooseFor(this.chosen);
    this.details.querySelector("summary").focus();
    this.view.scrollIntoView({ block: "nearest" });
  }

  /** The reader has chosen a record: the death that is told is that of its episode, or the next one, or the last one before. */
  follow(seq) {
    this.chosen = seq;
    this.followSoon();
  }

  async chooseFor(seq) {
    const index = this.deaths.findIndex((death) => death >= seq);
    const at = index >= 0 ? index : this.deaths.length - 1;
    if (at >= 0 && this.deaths[at] !== this.death) await this.choose(at);
  }

  /** Looks again after the run has grown. */
  async update({ run, read, totals }) {
    const known = `${run.status} ${run.live} ${totals?.deaths ?? 0} ${totals?.episodes ?? 0}`;
    if (known === this.known) return;
    this.known = known;
    // Whoever looks at an earlier death stays there.
    const follows = this.death === (this.deaths.at(-1) ?? 0);
    this.total = totals?.deaths ?? 0;
    this.end = read + 1;
    this.stand = await this.standOf(run);
    while (this.deaths.length < Math.min(this.total, MOST_DEATHS)) {
      const { records } = await this.source.records({ only: "deaths", offset: this.deaths.length, limit: 500 });
      if (records.length === 0) break;
      this.deaths.push(...records.map((row) => row.seq));
    }
    if (this.deaths.length === 0) fill(this.words, `${this.stand} Nobody died.`);
    else if (follows) await this.choose(this.deaths.length - 1);
    if (this.details.open) await this.drawBody();
  }

  /** Chooses a death by its place among them. */
  async choose(at) {
    const seq = this.deaths[at];
    if (!seq) return;
    this.death = seq;
    this.otherwise.hidden = false;
    // What fell is asked for together with the moment.
    if (this.details.open) this.fallOf(seq).catch(() => {});
    const { frame } = await this.around(seq);
    if (seq !== this.death) return;
    const [how = "died"] = frame?.ending ?? [];
    fill(this.words, h("span", { class: "glyph", "aria-hidden": "true" }, "✖ "), `${how}, in episode ${frame?.episode ?? "?"}`, h("span", { class: "note" }, ` death ${at + 1} of ${this.total}${this.stand ? `; the run: ${this.stand}` : ""}`));
    if (this.details.open) await this.drawBody();
  }

  /** The reader has chosen a death. What was chosen just before does not count any more. */
  pick(at) {
    this.chosen = this.deaths[at];
    return this.choose(at);
  }

  /** What was read before, or what `read()` reads now. */
  once(key, read) {
    if (this.read.size > 300) this.read.clear();
    if (!this.read.has(key)) this.read.set(key, read().catch((error) => {
      this.read.delete(key);
      throw error;
    }));
    return this.read.get(key);
  }

  async frameOf(seq) {
    const frame = await this.frameAt(seq);
    if (frame?.problem) throw new Error(frame.problem);
    return frame?.seq === seq ? frame : null;
  }

  /** The moment of a death, and what was last seen of the world before it. */
  around(seq) {
    return this.once(`around ${seq}`, async () => {
      const frame = await this.frameOf(seq);
      for (let before = seq - 1; before >= Math.max(1, seq - LOOK_BACK); before -= 1) {
        const one = await this.frameOf(before);
        if (one?.view && one.episode === frame?.episode) return { frame, world: one.view };
      }
      return { frame, world: null };
    });
  }

  fallOf(seq) {
    return this.once(`fall ${seq}`, () => this.source.decline(seq));
  }

  async before(seq, kinds) {
    return (await this.source.next({ after: seq, kinds, back: true })).seq;
  }

  /** How the run itself stands. */
  async standOf(run) {
    this.finish = !run.live && (run.status === "finished" || run.status === "paused") ? await this.before(this.end, "finish") : null;
    if (this.finish) {
      const { records } = await this.source.records({ offset: this.source.position(this.finish), limit: 1 });
      if (records[0]?.line) return `${records[0].line.replace(/^finish: /, "")}.`;
    }
    return STANDS[run.live ? "running" : run.status] ?? "";
  }

  /** Asks what shall be different, from where another future was possible before the chosen death. */
  async tryOtherwise() {
    this.otherwise.disabled = true;
    try {
      const fall = await this.fallOf(this.death);
      if (!fall.fork) say("There is no decision before this death from which a fork could begin.", true);
      else await this.again(fall);
    } catch (error) {
      say(error.message, true);
    }
    this.otherwise.disabled = false;
  }

  failed(error) {
    fill(this.body, h("p", { class: "problem", role: "alert" }, `What came before it cannot be read: ${error.message}`));
  }

  async drawBody() {
    this.drawn += 1;
    const mine = this.drawn;
    if (!this.deaths.length) {
      fill(this.body, h("section", { "aria-label": "The end" }, h("p", {}, this.stand ? `${this.stand} Nobody died.` : "Reading how it ended…"),
        this.finish && h("div", { class: "buttons" }, h("button", { type: "button", class: "small", onclick: () => this.seek(this.finish) }, `Show the end: record ${count(this.finish)}`),
          this.fork && h("button", { type: "button", class: "small", onclick: () => this.fork(this.finish - 1) }, "Fork before the end…"))));
      return;
    }
    const { death } = this;
    // A busy machine takes seconds to read what came before a death: each part stands there as soon as it is read.
    const part = (words) => h("section", { "aria-label": words }, h("h3", {}, `${words}?`), h("p", { class: "note", role: "status" }, "Reading what came before it…"));
    const [why, knew, otherwise] = [part("Why did it die"), part("What did it know then"), this.again && part("What would have happened otherwise")];
    fill(this.body, why, knew, otherwise);
    const isOld = () => mine !== this.drawn;
    const fall = await this.fallOf(death);
    if (isOld()) return;
    if (otherwise) this.drawOtherwise(otherwise, fall);
    const { frame, world } = await this.around(death);
    if (isOld()) return;
    this.drawWhy(why, fall, frame, null);
    await this.drawKnown(knew, { fall, frame, world, isOld });
    const [worst] = fall.fallen;
    const began = worst ? await this.frameOf(worst.from_seq) : null;
    if (began && !isOld()) this.drawWhy(why, fall, frame, began);
  }

  button(seq, words) {
    return h("button", { type: "button", class: "small", onclick: () => this.seek(seq) }, words);
  }

  /** The cause: what fell to its end and what was used up before, and the last steps. */
  drawWhy(place, fall, frame, began) {
    const { death } = this;
    const at = this.deaths.indexOf(death);
    const [worst, ...others] = fall.fallen;
    const [, ...rest] = frame?.ending ?? [];
    const spent = others.filter((one) => one.values.at(-1) === 0 && one.reached_seq < worst.reached_seq);
    fill(place, h("h3", {}, "Why did it die?"),
      worst && [h("p", {}, declineWords(fall)), declinePlot(fall), h("h4", {}, `When ${worst.name} began to fall`),
        h("p", {}, `record ${count(worst.from_seq)}${began ? `, ${clock(this.times.at(worst.from_seq, began.at_ms))} of the run: ${began.task || "no task was chosen"}` : ""}`),
        began?.calls.length > 0 && h("ol", { class: "calls" }, began.calls.map((call) => h("li", {}, cut(call, 300))))],
      h("h4", {}, "At the end"), rest.map((line) => h("p", {}, line)),
      frame?.calls.length > 0 && h("ol", { class: "calls" }, frame.calls.map((call) => h("li", {}, cut(call, 300)))),
      h("div", { class: "buttons" }, worst && this.button(worst.from_seq, `Show where ${worst.name} began to fall`), spent.map((one) => this.button(one.reached_seq, `Show where ${one.name} ran out`)),
        this.button(death, `Show that moment: record ${count(death)}`),
        this.deaths.length > 1 && h("button", { type: "button", class: "small", disabled: at <= 0, onclick: () => this.pick(at - 1) }, "‹ Death before"),
        this.deaths.length > 1 && h("button", { type: "button", class: "small", disabled: at >= this.deaths.length - 1, onclick: () => this.pick(at + 1) }, "Death after ›")));
  }

  /** The task, the memories with the reason for each, the world, and what the controller answered last. */
  async drawKnown(place, { fall, frame, world, isOld }) {
    const { death } = this;
    const [ask, recall] = await Promise.all(["ask_controller", "recalled"].map((kinds) => this.before(death, kinds)));
    let memories = null;
    if (ask) memories = (await this.source.record(ask)).exchange?.recalled ?? null;
    // An earlier decision of the same episode may have looked memories up.
    if (!memories?.length && recall && (await this.frameOf(recall))?.episode === frame?.episode) memories = (await this.source.record(recall)).payload?.memories ?? null;
    if (isOld()) return;
    const knew = memories?.length ? recalled(memories)
      : fall.remembers === false ? h("p", { class: "note" }, "Memory is off: nothing was kept or recalled (", h("code", {}, "run.memory = false"), ").")
        : recall && !memories && frame?.memories.length ? h("ul", { class: "memories" }, frame.memories.map((text) => h("li", {}, text)))
          : h("p", { class: "note" }, ask ? "No memories were looked up for its last decision." : "The controller was not asked before: skills and reflexes acted alone.");
    fill(place, h("h3", {}, "What did it know then?"), frame?.task && h("p", { class: "task" }, frame.task), knew,
      world && [h("h4", {}, "The world, just before"), h("pre", { class: "said", tabindex: "0" }, cut(world, 2000))],
      frame?.decision && [h("h4", {}, "The controller, last"), h("pre", { class: "said", tabindex: "0" }, cut(frame.decision, 2000))],
      ask && h("div", { class: "buttons" }, this.button(ask, `All that it was shown: record ${count(ask)}`)));
  }

  drawOtherwise(place, fall) {
    const [worst] = fall.fallen;
    fill(place, h("h3", {}, "What would have happened otherwise?"), fall.fork
      ? [h("p", {}, `Record ${count(fall.fork.before)} is the last decision before ${worst ? `${worst.name} began to fall` : "the end"} from which another future was possible. A fork begins before it, and one thing is different.`),
        h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", onclick: () => this.again(fall) }, "Try it again from here…"),
          h("button", { type: "button", class: "small", onclick: () => this.fork(fall.fork.at) }, "Fork with other settings…"), this.button(fall.fork.before, "Show the decision"))]
      : h("p", { class: "note" }, "There is no decision before it from which a fork could begin."));
  }
}
