// One moment of a run: the world, what the controller was shown and what it answered, what it remembered, and the record itself.

import { debounced, fill, h, s } from "./dom.js";
import { clock, count, counted, cut, date, span } from "./format.js";

const CHUNK = 100;
const MOST_FRAMES = 1500;
const SPEEDS = [2, 4, 8, 16, 32];
/** Kinds of records of which the payload is all there is to see. */
const UNFOLDED = new Set(["started", "resumed", "paused", "goal_added", "forked", "tools_changed", "clock_changed", "tool_decision", "change_library", "consolidate", "explored", "skills_retested", "reflexes_tried"]);

/** A value as a tree that is unfolded piece by piece. */
export function tree(value, depth = 0) {
  if (value === null || typeof value !== "object") return h("span", { class: `v-${value === null ? "null" : typeof value}` }, leaf(value));
  const entries = Object.entries(value);
  if (entries.length === 0) return h("span", { class: "v-null" }, Array.isArray(value) ? "[]" : "{}");
  const shown = entries.slice(0, 200).map(([name, inner]) => branch(name, inner, depth));
  if (entries.length > 200) shown.push(h("p", { class: "note" }, `and ${count(entries.length - 200)} more`));
  return h("div", { class: "tree" }, shown);
}

function leaf(value) {
  if (typeof value === "string") return cut(value, 20_000);
  return String(value);
}

function branch(name, value, depth) {
  const isDeep = value !== null && typeof value === "object" && Object.keys(value).length > 0;
  if (!isDeep) return h("div", { class: "leaf" }, h("span", { class: "name" }, name), tree(value, depth + 1));
  const size = Object.keys(value).length;
  const inside = h("div", {});
  const details = h("details", {
    ontoggle: () => {
      if (details.open && !inside.firstChild) inside.append(tree(value, depth + 1));
    },
  }, h("summary", {}, h("span", { class: "name" }, name), h("span", { class: "size" }, Array.isArray(value) ? `[${size}]` : `{${size}}`)), inside);
  const isShort = JSON.stringify(value).length < 160;
  if (depth < 1 && isShort) {
    details.open = true;
    if (!inside.firstChild) inside.append(tree(value, depth + 1));
  }
  return details;
}

/** The members that a merge patch changes: `[path, new value]`. */
export function patched(patch, path = "") {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return path ? [[path, patch]] : [];
  return Object.entries(patch).flatMap(([name, value]) => patched(value, path ? `${path}.${name}` : name));
}

export class Moment {
  /** `seek(seq)` is called when the scrubber moves; `link(seq)` makes the address of a record. */
  constructor({ source, times, seek, fork }) {
    Object.assign(this, { source, times, seek, fork });
    this.frames = new Map();
    // The frames that are being read, by their records.
    this.asked = new Map();
    this.episode = [1, 1];
    this.seq = 0;
    this.speed = 2;
    this.title = h("h2", { tabindex: "-1" }, "Nothing chosen");
    this.slider = h("input", {
      type: "range", min: "1", max: "1", step: "1", value: "1", "aria-label": "Place in the episode",
      oninput: () => {
        this.stop();
        this.seek(Number(this.slider.value), { scrub: true });
      },
    });
    this.ticks = s("svg", { class: "ticks", "aria-hidden": "true" });
    this.button = h("button", { type: "button", class: "play", "aria-label": "Play", title: "Play (space)", onclick: () => this.toggle() }, "▶");
    this.rate = h("select", { "aria-label": "Speed", title: "Speed", onchange: () => { this.speed = Number(this.rate.value); } },
      SPEEDS.map((speed, index) => h("option", { value: String(index), selected: index === this.speed }, `${speed} records/s`)));
    this.rate.value = String(this.speed);
    this.place = h("p", { class: "place" });
    this.world = h("section", { class: "card world", "aria-label": "World" });
    this.doing = h("section", { class: "card doing", "aria-label": "Task and calls" });
    this.mind = h("section", { class: "card mind", "aria-label": "Controller" });
    this.record = h("section", { class: "card raw", "aria-label": "Record" });
    this.view = h("div", { class: "moment" },
      h("header", { class: "moment-head" }, h("div", { class: "moment-title" }, this.title, this.fork && h("button", { type: "button", class: "small", title: "Begin another future after this record", onclick: () => this.fork(this.seq) }, "Fork here…")), this.place,
        h("div", { class: "scrubber", role: "group", "aria-label": "Scrubber" },
          h("button", { type: "button", "aria-label": "Previous record", title: "Previous record (p)", onclick: () => this.step(-1) }, "‹"),
          this.button,
          h("button", { type: "button", "aria-label": "Next record", title: "Next record (n)", onclick: () => this.step(1) }, "›"),
          h("div", { class: "slider" }, this.ticks, this.slider), this.rate)),
      this.world, this.doing, this.mind, this.record);
    this.detail = debounced(90, () => this.loadDetail());
  }

  close() {
    this.stop();
  }

  /** Sets the episode that the scrubber covers. */
  async cover(episode, total) {
    this.total = total;
    const range = episode ? [episode.first, episode.last] : [1, Math.max(1, total)];
    if (range[0] === this.episode[0] && range[1] === this.episode[1]) return;
    this.episode = range;
    this.slider.min = String(range[0]);
    this.slider.max = String(range[1]);
    const { buckets } = await this.source.buckets({ first: range[0], last: range[1], limit: 200 });
    const marks = buckets.flatMap((bucket) => ["deaths", "achievements", "failures"].filter((name) => bucket[name] > 0).slice(0, 1).map((name) => {
      const x = ((bucket.first + bucket.last) / 2 - range[0]) / Math.max(1, range[1] - range[0]);
      return s("rect", { class: `is-${name}`, x: `${(x * 100).toFixed(2)}%`, y: 0, width: 2, height: 6 });
    }));
    fill(this.ticks, marks);
  }

  /** Shows a record. */
  async show(seq) {
    this.seq = seq;
    this.slider.value = String(seq);
    this.slider.setAttribute("aria-valuetext", `record ${seq}`);
    const frame = await this.frameAt(seq);
    if (this.seq !== seq) return;
    this.drawFrame(frame, seq);
    this.detail();
  }

  async frameAt(seq) {
    if (this.frames.has(seq)) return this.frames.get(seq);
    // Whatever asks for a record near another one gets the same frames: the server may have to step the world to them.
    const [first] = this.episode;
    const begin = Math.floor((seq - 1) / CHUNK) * CHUNK + 1;
    const from = seq >= first ? Math.max(first, begin) : begin;
    const to = Math.min(begin + CHUNK - 1, Math.max(this.total ?? seq, seq));
    const key = `${from} ${to}`;
    if (!this.asked.has(key)) this.asked.set(key, this.read(from, to).finally(() => this.asked.delete(key)));
    try {
      await this.asked.get(key);
    } catch (error) {
      return { problem: error.message };
    }
    return this.frames.get(seq) ?? this.nearest(seq);
  }

  async read(from, to) {
    const { frames } = await this.source.frames(from, to);
    if (this.frames.size > MOST_FRAMES) this.frames.clear();
    for (const frame of frames) this.frames.set(frame.seq, frame);
  }

  /** The frame before, where a report has not every one. */
  nearest(seq) {
    let best = null;
    for (const frame of this.frames.values()) if (frame.seq <= seq && (!best || frame.seq > best.seq)) best = frame;
    return best && { ...best, isEarlier: true };
  }

  drawFrame(frame, seq) {
    fill(this.title, `Record ${count(seq)}`);
    // `failure` of a frame says that its record reports one.
    if (!frame || frame.problem) {
      fill(this.place, frame?.problem ?? "the world is not known here");
      fill(this.world);
      fill(this.doing);
      return;
    }
    fill(this.place, `episode ${frame.episode} · step ${count(frame.step)} · ${clock(this.times.at(frame.seq, frame.at_ms))} of the run · ${date(frame.at_ms)}`);
    const changed = this.changes(frame, seq);
    fill(this.world, h("h3", {}, "World"),
      frame.isEarlier && h("p", { class: "note" }, `as of record ${frame.seq}: this report has no later one`),
      frame.ending.length > 0 && h("div", { class: "ending" }, frame.ending.map((line) => h("p", {}, line))),
      this.picture(frame.picture),
      frame.view ? h("pre", { class: "view" }, frame.view) : h("p", { class: "note" }, "nothing was observed yet"), changed);
    fill(this.doing,
      frame.task || frame.calls.length ? h("h3", {}, "Doing") : null,
      frame.task && h("p", { class: "task" }, frame.task),
      frame.calls.length > 0 && h("ol", { class: "calls" }, frame.calls.map((call, index) => {
        const item = h("li", {}, cut(call, 2000));
        item.style.setProperty("--depth", index);
        return item;
      })));
    this.decision = frame;
  }

  /** The latest picture of the world, where it is at hand. */
  picture(picture) {
    if (!picture) return null;
    const handle = `media:${picture.blob.slice(0, 16)}`;
    const src = this.source.picture?.(picture);
    return src ? h("img", { class: "picture", src, alt: `the world as of record ${picture.seq}: ${handle}`, title: handle })
      : h("p", { class: "note" }, `picture ${handle}`);
  }

  /** What the last step changed in the text of the world: lines that are new. */
  changes(frame, seq) {
    const before = this.frames.get(seq - 1);
    if (!before || before.view === frame.view || before.episode !== frame.episode) return null;
    const known = new Set(before.view.split("\n"));
    const fresh = frame.view.split("\n").filter((line) => line.trim() && !known.has(line));
    if (fresh.length === 0 || fresh.length > 12) return null;
    return h("div", { class: "changed" }, h("h4", {}, "New in it"), fresh.map((line) => h("p", {}, line)));
  }

  async loadDetail() {
    const { seq } = this;
    let detail;
    try {
      detail = await this.source.record(seq);
    } catch (error) {
      detail = { failure: error.message };
    }
    if (this.seq !== seq) return;
    this.drawMind(detail);
    this.drawRecord(detail);
  }

  drawMind(detail) {
    const frame = this.decision;
    // What a record is about stands first.
    const isAbout = detail.exchange || (detail.payload && (detail.kind === "recalled" || detail.kind === "candidates_tried"));
    if (isAbout) this.world.before(this.mind);
    else this.doing.after(this.mind);
    if (detail.exchange) {
      fill(this.mind, exchange(detail.exchange));
    } else if (detail.kind === "recalled" && detail.payload) {
      fill(this.mind, h("h3", {}, "Remembered"), recalled(detail.payload.memories ?? []));
    } else if (detail.kind === "candidates_tried" && detail.payload) {
      fill(this.mind, h("h3", {}, "Candidates"), trials(detail.payload.trials ?? []));
    } else {
      fill(this.mind,
        frame?.decision && [h("h3", {}, "The controller, last"), h("pre", { class: "said" }, frame.decision)],
        frame?.memories.length > 0 && [h("h3", {}, "Remembered, last"), h("ul", { class: "memories" }, frame.memories.map((text) => h("li", {}, text)))]);
    }
  }

  drawRecord(detail) {
    if (detail.failure || detail.unreadable) {
      fill(this.record, h("h3", {}, "Record"), h("p", { class: "problem" }, detail.failure ?? `This record cannot be read: ${detail.unreadable}`));
      if (!detail.payload) return;
    }
    const change = detail.kind === "stepped" ? patched(detail.payload?.change ?? {}) : [];
    const body = h("div", {});
    const raw = h("details", {
      ontoggle: () => {
        if (raw.open && !body.firstChild) body.append(tree(detail.payload));
      },
    }, h("summary", {}, "Payload"), body);
    // What has nothing else to show is unfolded.
    if (UNFOLDED.has(detail.kind) && detail.payload) {
      raw.open = true;
      if (!body.firstChild) body.append(tree(detail.payload));
    }
    fill(this.record, h("h3", {}, "Record"),
      detail.unreadable && h("p", { class: "problem" }, `This record cannot be read whole: ${detail.unreadable}`),
      h("p", { class: "kindline" }, h("span", { class: "kind" }, detail.kind), detail.line && h("span", {}, ` ${detail.line}`),
        detail.payload?.reflex && h("span", { class: "tag reflex" }, `↯ by reflex ${detail.payload.reflex}`)),
      change.length > 0 && h("table", { class: "changes" }, h("caption", {}, "What the step changed"),
        h("tbody", {}, change.slice(0, 60).map(([path, value]) => h("tr", {}, h("th", { scope: "row" }, path), h("td", {}, cut(JSON.stringify(value) ?? "", 200)))))),
      detail.payload && raw,
      detail.hash && h("p", { class: "hash" }, "hash ", h("code", {}, detail.hash)));
  }

  // Playing.

  toggle() {
    if (this.timer) this.stop();
    else this.play();
  }

  play() {
    if (this.seq >= this.episode[1]) this.seek(this.episode[0]);
    fill(this.button, "❚❚");
    this.button.setAttribute("aria-label", "Pause");
    const tick = async () => {
      if (!this.timer) return;
      if (this.seq >= this.episode[1]) return this.stop();
      await this.seek(this.seq + 1, { scrub: true });
      if (this.timer) this.timer = setTimeout(tick, 1000 / SPEEDS[this.speed]);
    };
    this.timer = setTimeout(tick, 1000 / SPEEDS[this.speed]);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
    fill(this.button, "▶");
    this.button.setAttribute("aria-label", "Play");
  }

  step(by) {
    this.stop();
    const seq = Math.max(1, Math.min((this.total ?? Infinity), this.seq + by));
    this.seek(seq);
  }
}

/** A request to the controller, part by part, with its answers. */
function exchange(data) {
  const { request, reply, error, recalled: memories, tokens_by_part: sizes } = data;
  let number = 0;
  const parts = request.messages.flatMap((message) => message.parts.map((part) => {
    const size = sizes?.[number];
    number += 1;
    const words = [counted(size?.characters ?? part.text.length, "character")];
    if (size?.left_out) words.push("left out: the prompt was too long");
    else if (size?.tokens !== null && size?.tokens !== undefined) words.push(`${size.estimated ? "about " : ""}${counted(size.tokens, "token")}`);
    const isLong = part.text.length > 1200;
    return h("details", { class: `part${size?.left_out ? " left-out" : ""}`, open: !isLong },
      h("summary", {}, h("b", {}, message.role), h("span", { class: "size" }, words.join(", "))), h("pre", {}, part.text));
  }));
  const usage = reply?.usage;
  const timing = reply?.timing;
  const answers = reply?.candidates.map((candidate, index) => h("article", { class: "answer" },
    h("h4", {}, reply.candidates.length > 1 ? `Answer ${index + 1} of ${reply.candidates.length}` : "Answer",
      h("span", { class: "size" }, ` ${counted(candidate.tokens, "token")}, ${typeof candidate.finish === "string" ? candidate.finish : JSON.stringify(candidate.finish)}`)),
    candidate.reasoning && h("details", {}, h("summary", {}, "Reasoning"), h("pre", {}, candidate.reasoning)),
    h("pre", { class: "said" }, candidate.text)));
  return [
    h("h3", {}, "What it was shown"), parts,
    request.prefill && h("p", { class: "note" }, "The answer was begun with: ", h("code", {}, request.prefill)),
    memories?.length > 0 && [h("h3", {}, "Remembered for it"), recalled(memories)],
    h("h3", {}, "What it answered"),
    error ? h("p", { class: "problem" }, error) : answers ?? h("p", { class: "note" }, "no answer is in the log"),
    usage && h("p", { class: "note" }, `${count(usage.prompt_tokens)} tokens read, ${count(usage.cached_tokens)} of them from the cache; ${count(usage.completion_tokens)} written; `
      + `${span(timing.queue_ms / 1000)} waiting, ${span(timing.prefill_ms / 1000)} reading, ${span(timing.decode_ms / 1000)} writing`
      + (reply.cost_usd ? `; ${reply.cost_usd.toFixed(5)} US dollars` : "")),
    request.constraint && h("details", {}, h("summary", {}, "Constraint of the answer"), tree(request.constraint)),
  ];
}

/** Memories with the reason for each. */
export function recalled(memories) {
  if (memories.length === 0) return h("p", { class: "note" }, "no memories");
  return h("ul", { class: "memories" }, memories.map((memory) => h("li", {},
    h("p", {}, memory.text), h("p", { class: "why" }, h("span", { class: "tag" }, memory.kind), ` ${memory.why} `,
      memory.untrusted && h("span", { class: "tag failure" }, "from outside"),
      h("a", { href: `#/memory/${encodeURIComponent(memory.id)}` }, "where it comes from")))));
}

/** Candidates for a skill, with their results in each world. */
export function trials(list) {
  return list.map((trial, index) => h("article", { class: "answer" },
    h("h4", {}, `Candidate ${index + 1}: passed in ${trial.report.worlds.filter(passed).length} of ${trial.report.worlds.length} worlds`),
    trial.compile_error && h("p", { class: "problem" }, `does not compile: ${trial.compile_error}`),
    worlds(trial.report.worlds)));
}

const passed = (world) => world.verified && world.returned && !world.died;

/** Results of a trial, a row for each world. */
export function worlds(list) {
  if (!list?.length) return null;
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", { class: "worlds" },
    h("thead", {}, h("tr", {}, ["world", "result", "steps", "harm", "arguments", "why"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, list.map((world) => {
      const result = passed(world) ? "passed" : world.died ? "died" : !world.returned ? "stopped" : !world.verified ? "not done" : "failed";
      return h("tr", { class: passed(world) ? "good" : "bad" },
        h("td", {}, h("code", {}, world.seed)), h("td", {}, `${passed(world) ? "✓" : "!"} ${result}`), h("td", { class: "number" }, world.steps),
        h("td", { class: "number" }, Math.round(world.harm ?? 0)), h("td", {}, world.args ? JSON.stringify(world.args) : ""), h("td", {}, cut(world.error ?? "", 300)));
    }))));
}
