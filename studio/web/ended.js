// How a run ended: why the agent died, what it knew then, and where another future can begin.

import { fill, h } from "./dom.js";
import { count, cut } from "./format.js";
import { recalled } from "./moment.js";

/** The reasons of a run that did not die, by its status. */
const STANDS = { running: "It is under way.", paused: "It is paused, and can be resumed.", "cut off": "Its process ended without a word: it was killed, or the computer stopped. It can be resumed.", failed: "It failed." };

/** Records before a death in which the last look at the world is searched for. */
const LOOK_BACK = 16;

export class Ended {
  /** `seek(seq)` shows a record; `fork(seq)` asks for a fork after it, where that is possible. */
  constructor({ source, seek, fork = null }) {
    // What it leads to is below it: it makes room.
    const leave = (seq) => {
      this.view.open = false;
      seek(seq);
    };
    Object.assign(this, { source, seek: leave, fork, death: 0, known: "", total: 0, number: 0 });
    this.words = h("span", { class: "ended-words" });
    this.body = h("div", { class: "ended-body" });
    this.view = h("details", { class: "card ended", ontoggle: () => { if (this.view.open) this.drawBody(); } },
      h("summary", {}, h("b", {}, "How it ended"), " ", this.words), this.body);
  }

  /** Opens it and goes there. */
  open() {
    this.view.open = true;
    this.view.querySelector("summary").focus();
    this.view.scrollIntoView({ block: "nearest" });
  }

  /** Looks again after the run has grown. */
  async update({ run, read, totals }) {
    const known = `${run.status} ${run.live} ${totals?.deaths ?? 0} ${totals?.episodes ?? 0}`;
    if (known === this.known) return;
    this.known = known;
    // Whoever looks at an earlier death stays there.
    const follows = this.number === this.total;
    this.total = totals?.deaths ?? 0;
    this.end = read + 1;
    this.stand = await this.standOf(run);
    if (this.total === 0) fill(this.words, `${this.stand} Nobody died.`);
    else if (follows) await this.choose(this.end, true, this.total);
    if (this.view.open) await this.drawBody();
  }

  /** Chooses the death before or after a record. */
  async choose(after, back, number) {
    const { seq } = await this.source.next({ after, only: "deaths", back });
    if (!seq) return;
    [this.death, this.number] = [seq, number];
    const frame = await this.frameOf(seq);
    const [how = "died"] = frame?.ending ?? [];
    fill(this.words, h("span", { class: "glyph", "aria-hidden": "true" }, "✖ "), `${how}, in episode ${frame?.episode ?? "?"}`, h("span", { class: "note" }, ` death ${number} of ${this.total}${this.stand ? `; the run: ${this.stand}` : ""}`));
    if (this.view.open) await this.drawBody();
  }

  async frameOf(seq) {
    const { frames } = await this.source.frames(seq, seq);
    return frames.find((frame) => frame.seq === seq) ?? null;
  }

  /** What was last seen of the world before the death. */
  async worldBefore(seq, episode) {
    const { frames } = await this.source.frames(Math.max(1, seq - LOOK_BACK), seq - 1);
    return frames.filter((frame) => frame.episode === episode && frame.view).at(-1)?.view ?? null;
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

  async drawBody() {
    if (!this.total) {
      fill(this.body, this.finish && h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => this.seek(this.finish) }, "Show the end")));
      return;
    }
    const { death } = this;
    const frame = await this.frameOf(death);
    const world = await this.worldBefore(death, frame?.episode);
    const [ask, act, recall] = await Promise.all(["ask_controller", "act,call_tool", "recalled"].map((kinds) => this.before(death, kinds)));
    let memories = null;
    if (ask) memories = (await this.source.record(ask)).exchange?.recalled ?? null;
    // An earlier decision of the same episode may have looked memories up.
    if (!memories?.length && recall && (await this.frameOf(recall))?.episode === frame?.episode) memories = (await this.source.record(recall)).payload?.memories ?? null;
    if (death !== this.death) return;
    const [, ...rest] = frame?.ending ?? [];
    const show = (seq, words) => h("button", { type: "button", class: "small", onclick: () => this.seek(seq) }, words);
    const knew = memories?.length ? recalled(memories)
      : recall && !memories && frame?.memories.length ? h("ul", { class: "memories" }, frame.memories.map((text) => h("li", {}, text)))
        : h("p", { class: "note" }, ask ? "No memories were looked up for its last decision." : "The controller was not asked before: skills and reflexes acted alone.");
    const forkAt = (ask ?? act ?? death) - 1;
    fill(this.body,
      h("section", { "aria-label": "Why it died" }, h("h3", {}, "Why did it die?"), rest.map((line) => h("p", {}, line)),
        frame?.calls.length > 0 && [h("h4", {}, "It was in"), h("ol", { class: "calls" }, frame.calls.map((call) => h("li", {}, cut(call, 300))))],
        h("div", { class: "buttons" }, show(death, `Show that moment: record ${count(death)}`),
          this.total > 1 && h("button", { type: "button", class: "small", disabled: this.number <= 1, onclick: () => this.choose(death, true, this.number - 1) }, "‹ Death before"),
          this.total > 1 && h("button", { type: "button", class: "small", disabled: this.number >= this.total, onclick: () => this.choose(death, false, this.number + 1) }, "Death after ›"))),
      h("section", { "aria-label": "What it knew then" }, h("h3", {}, "What did it know then?"), frame?.task && h("p", { class: "task" }, frame.task), knew,
        world && [h("h4", {}, "The world, just before"), h("pre", { class: "said", tabindex: "0" }, cut(world, 2000))],
        frame?.decision && [h("h4", {}, "The controller, last"), h("pre", { class: "said", tabindex: "0" }, cut(frame.decision, 2000))],
        ask && h("div", { class: "buttons" }, show(ask, `All that it was shown: record ${count(ask)}`))),
      this.fork && forkAt > 0 && h("section", { "aria-label": "What would have happened otherwise" }, h("h3", {}, "What would have happened otherwise?"),
        h("p", {}, "A fork begins with the same records and goes its own way, with another prompt or other settings. Both futures then stand side by side."),
        h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", onclick: () => this.fork(forkAt) }, ask ? "Fork before its last decision…" : "Fork before its last call…"))));
  }
}
