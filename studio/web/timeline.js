// The timeline: records in groups, of which only those in sight are in the page.

import { h } from "./dom.js";
import { clock, count, counted, cut, span } from "./format.js";
import { FLAG } from "./source.js";
import { RowCache } from "./rows.js";

const ROW = 28;
/** Browsers place nothing below some ten million pixels: above this height, the scroll bar stands for more than it shows. */
const TALLEST = 6_000_000;
/** Lines above and below those in sight that are in the page too. */
const MARGIN = 6;
/** The width of the narrowest letters, in pixels: what cannot be in sight is not laid out. */
const NARROWEST = 6.5;
/** Up to so many groups, all are fetched at once. */
const SMALL = 3000;

const GLYPHS = [
  [FLAG.damaged, "⚠", "damaged", "damaged"], [FLAG.deaths, "✖", "death", "the agent died"],
  [FLAG.achievements, "★", "achievement", "new achievement"], [FLAG.skills, "◆", "skill", "skill learned"],
  [FLAG.lessons, "✎", "lesson", "lesson"], [FLAG.failures, "!", "failure", "failure"], [FLAG.reflexes, "↯", "reflex", "a reflex acted"],
  [FLAG.tries, "·", "try", "a try that failed: nothing of the run itself did"],
];
const OUTCOMES = { done: ["✓", "done"], failed: ["!", "failed"], died: ["✖", "died"] };

export const groupKey = (group) => `${group.level}:${group.first}`;

/** The tree of groups that are sorted so that each stands before those in it. */
export function nested(groups) {
  const roots = [];
  const stack = [];
  for (const group of groups) {
    const node = { group, children: [] };
    const holds = (outer) => outer.group.level < group.level && group.first >= outer.group.first && group.first <= outer.group.last;
    while (stack.length && !holds(stack[stack.length - 1])) stack.pop();
    (stack.length ? stack[stack.length - 1].children : roots).push(node);
    stack.push(node);
  }
  return roots;
}

export class Timeline {
  /** `select(seq)` is called when the reader chooses a record. */
  constructor({ source, times, select }) {
    this.source = source;
    this.times = times;
    this.select = select;
    this.groups = [];
    this.open = new Set();
    this.loaded = new Set();
    this.records = 0;
    this.segments = [];
    this.total = 0;
    this.cursor = 0;
    this.chosen = null;
    this.matches = null;
    this.nodes = new Map();
    this.shift = 0;
    this.cache = new RowCache(source, {}, () => this.draw());
    this.space = h("div", { class: "space", role: "presentation" });
    this.view = h("div", {
      class: "timeline", role: "treegrid", tabindex: "0", "aria-label": "Timeline of the run",
      onscroll: () => this.scrolled(), onkeydown: (event) => this.pressed(event), onclick: (event) => this.clicked(event),
      ondblclick: (event) => this.clicked(event, true),
    }, this.space);
    this.view.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    // Sizes are kept: to ask for them while lines change would lay the page out in the middle of a frame.
    this.shown = 600;
    this.letters = 200;
    this.size = new ResizeObserver(() => {
      this.shown = this.view.clientHeight || 600;
      const letters = Math.ceil(this.view.clientWidth / NARROWEST);
      const isWider = letters > this.letters;
      this.letters = Math.max(60, letters);
      this.draw(isWider);
    });
    this.size.observe(this.view);
  }

  close() {
    this.closed = true;
    this.size.disconnect();
  }

  /** Learns the groups: all of a short run, the first episodes of a long one; and shows the run. */
  async load(one) {
    this.records = one.read;
    this.cache.total = one.read;
    const isSmall = one.groups <= SMALL;
    const { groups, total } = await this.source.groups({ to_level: isSmall ? 2 : 0, limit: isSmall ? 5000 : 1000 });
    this.merge(groups, isSmall);
    const episodes = groups.filter((group) => group.level === 0);
    if (episodes.length <= 3) for (const group of groups) if (group.level <= 1) this.open.add(groupKey(group));
    this.flatten();
    if (total > groups.length) this.rest = this.loadRest();
  }

  /** Learns the other episodes of a long run, a page at a time. */
  async loadRest() {
    for (;;) {
      const last = this.groups.findLast((group) => group.level === 0);
      const { groups, total } = await this.source.groups({ first: last.first + 1, to_level: 0, limit: 5000 });
      if (this.closed || groups.length === 0) return;
      this.merge(groups);
      this.flatten();
      if (total <= groups.length) return;
    }
  }

  /** Adds groups, and replaces those that are known. `whole` says that the groups in these episodes are among them. */
  merge(groups, whole = false) {
    const all = new Map(this.groups.map((group) => [groupKey(group), group]));
    for (const group of groups) {
      all.set(groupKey(group), group);
      if (whole && group.level === 0) this.loaded.add(groupKey(group));
    }
    this.groups = [...all.values()].sort((one, other) => one.first - other.first || one.level - other.level);
  }

  /** Adds new records: `read` records, and the groups from the last episode on. */
  async grow(read, groupCount) {
    const atEnd = this.isAtEnd();
    const last = this.groups.findLast((group) => group.level === 0);
    const isSmall = groupCount <= SMALL;
    const { groups } = await this.source.groups({ first: last?.first ?? 1, to_level: isSmall ? 2 : 0, limit: 5000 });
    if (this.closed) return;
    this.merge(groups, isSmall);
    if (!isSmall && last && this.open.has(groupKey(last))) {
      this.loaded.delete(groupKey(last));
      await this.learn(groups.find((group) => groupKey(group) === groupKey(last)) ?? last);
    }
    this.records = read;
    this.cache.total = read;
    this.flatten();
    if (atEnd && !this.matches) this.toIndex(this.total - 1, "nearest");
  }

  /** Shows only what matches `{only, kinds}`, or all again. */
  async filter(filter) {
    this.matches = null;
    if (filter && (filter.only || filter.kinds)) {
      const cache = new RowCache(this.source, filter, () => this.draw());
      this.matches = cache;
      await cache.count();
      if (this.matches !== cache) return;
    }
    this.view.scrollTop = 0;
    this.cursor = 0;
    this.flatten();
  }

  /** Shows the records that a search found. */
  found(records) {
    this.matches = {
      total: records.length, at: (place) => records[place], placeOf: (seq) => records.findIndex((row) => row.seq === seq),
    };
    this.flatten();
  }

  flatten() {
    this.segments = [];
    this.total = 0;
    if (this.matches) {
      this.push({ kind: "match", count: this.matches.total, depth: 0 });
    } else {
      this.emit(nested(this.groups), 1, this.lastSeq(), 0);
    }
    const height = Math.min(this.total * ROW, TALLEST);
    this.space.style.height = `${height}px`;
    this.view.setAttribute("aria-rowcount", String(this.total));
    if (this.chosen) {
      const index = this.indexOf(this.chosen);
      if (index >= 0) this.cursor = index;
    }
    this.cursor = Math.max(0, Math.min(this.cursor, this.total - 1));
    this.draw(true);
  }

  lastSeq() {
    const last = this.groups.reduce((most, group) => Math.max(most, group.last), 0);
    return Math.max(last, this.source.data?.run.records ?? this.records);
  }

  emit(nodes, first, last, depth) {
    let from = first;
    for (const { group, children } of nodes) {
      this.rowsBetween(from, group.first - 1, depth);
      const isOpen = this.open.has(groupKey(group));
      this.push({ kind: "group", count: 1, group, depth, isOpen });
      if (isOpen) this.emit(children, group.first, group.last, depth + 1);
      from = group.last + 1;
    }
    this.rowsBetween(from, last, depth);
  }

  rowsBetween(first, last, depth) {
    if (last < first) return;
    const place = this.source.position(first);
    const length = Math.min(this.source.position(last + 1), this.records) - place;
    if (length > 0) this.push({ kind: "rows", count: length, place, depth });
  }

  push(segment) {
    this.segments.push({ ...segment, start: this.total });
    this.total += segment.count;
  }

  /** The segment that holds a line, found by halving. */
  segmentAt(index) {
    let [low, high] = [0, this.segments.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.segments[middle].start <= index) low = middle;
      else high = middle - 1;
    }
    return this.segments[low];
  }

  /** What stands in a line: a group, or the row of a record (undefined until it has arrived). */
  lineAt(index) {
    const segment = this.segmentAt(index);
    if (!segment || index < segment.start || index >= segment.start + segment.count) return null;
    if (segment.kind === "group") return segment;
    const offset = index - segment.start;
    const row = segment.kind === "match" ? this.matches.at(offset) : this.cache.at(segment.place + offset);
    return { kind: "row", depth: segment.depth, row, seq: row?.seq ?? null };
  }

  /** The segment that holds a record or its group, found by halving: segments are in the order of their records. */
  segmentOf(seq) {
    const place = this.source.position(seq);
    const begin = (segment) => (segment.kind === "group" ? this.source.position(segment.group.first) : segment.place);
    let [low, high] = [0, this.segments.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (begin(this.segments[middle]) <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  indexOf({ seq, key }) {
    if (this.matches) return key ? -1 : this.matches.placeOf(seq);
    // A group stands in the line before its first record, and groups that begin together stand together.
    for (let number = this.segmentOf(seq); number >= 0; number -= 1) {
      const segment = this.segments[number];
      if (segment.kind === "group" && key === groupKey(segment.group)) return segment.start;
      if (segment.kind === "rows" && !key) {
        const place = this.source.position(seq) - segment.place;
        return place >= 0 && place < segment.count ? segment.start + place : -1;
      }
      if (segment.kind === "group" && (!key || segment.group.first < seq)) return -1;
    }
    return -1;
  }

  /** The place among the groups of the last one that begins at or before a record; -1 where there is none. */
  groupBefore(seq) {
    let [low, high] = [-1, this.groups.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.groups[middle].first <= seq) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The episode that holds a record. */
  episodeOf(seq) {
    for (let index = this.groupBefore(seq); index >= 0; index -= 1) {
      const group = this.groups[index];
      if (group.level === 0) return seq <= group.last ? group : null;
    }
    return null;
  }

  /** Shows a record: opens the groups that it is in, and scrolls to it. */
  async reveal(seq, { block = "nearest" } = {}) {
    this.chosen = { seq };
    if (!this.matches) {
      if (!this.episodeOf(seq)) await this.rest;
      const episode = this.episodeOf(seq);
      if (episode) await this.learn(episode);
      let opened = false;
      for (let index = this.groupBefore(seq); index >= 0; index -= 1) {
        const group = this.groups[index];
        if (seq <= group.last && !this.open.has(groupKey(group))) {
          this.open.add(groupKey(group));
          opened = true;
        }
        if (group.level === 0) break;
      }
      if (opened) this.flatten();
    }
    const index = this.matches?.find ? await this.matches.find(seq) : this.indexOf({ seq });
    this.hidden = Boolean(this.matches) && index < 0;
    if (index >= 0) {
      this.cursor = index;
      this.toIndex(index, block);
    }
    this.draw();
  }

  /** Fetches the groups in an episode, if they are not there yet. */
  async learn(episode) {
    const key = groupKey(episode);
    if (episode.level !== 0 || this.loaded.has(key)) return;
    this.loaded.add(key);
    const { groups } = await this.source.groups({ first: episode.first, last: episode.last, from_level: 1, limit: 5000 });
    this.merge(groups);
  }

  async toggle(group, isOpen) {
    const key = groupKey(group);
    const opening = isOpen ?? !this.open.has(key);
    if (opening) {
      this.open.add(key);
      await this.learn(group);
    } else {
      this.open.delete(key);
    }
    this.flatten();
  }

  async toggleAll(isOpen) {
    if (!isOpen) this.open.clear();
    else for (const group of this.groups.slice(0, SMALL)) this.open.add(groupKey(group));
    if (isOpen) await Promise.all(this.groups.filter((group) => group.level === 0).slice(0, 20).map((group) => this.learn(group)));
    this.flatten();
  }

  // Scrolling.

  scale() {
    const height = Math.min(this.total * ROW, TALLEST);
    const room = Math.max(1, height - this.shown);
    return Math.max(0, this.total * ROW - this.shown) / room;
  }

  /** The offset of the top of the view, in pixels of the whole list. */
  top() {
    return this.view.scrollTop * this.scale() + this.shift;
  }

  setTop(top) {
    const scale = this.scale() || 1;
    const bounded = Math.max(0, Math.min(top, this.total * ROW - this.shown));
    const scroll = Math.round(bounded / scale);
    this.shift = scale > 1 ? bounded - scroll * scale : 0;
    this.placed = scroll;
    this.view.scrollTop = scroll;
    this.draw();
  }

  scrolled() {
    if (this.view.scrollTop !== this.placed) this.shift = 0;
    this.placed = this.view.scrollTop;
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.draw();
    });
  }

  wheeled(event) {
    if (this.total * ROW <= TALLEST || event.ctrlKey) return;
    event.preventDefault();
    this.setTop(this.top() + (event.deltaMode === 1 ? event.deltaY * ROW : event.deltaY));
  }

  isAtEnd() {
    return this.top() + this.shown >= this.total * ROW - ROW;
  }

  toIndex(index, block) {
    const [top, shown] = [this.top(), this.shown];
    const at = index * ROW;
    if (block === "center") this.setTop(at - shown / 2);
    else if (at < top) this.setTop(at);
    else if (at + ROW > top + shown) this.setTop(at + ROW - shown);
  }

  // Drawing.

  draw(anew = false) {
    const top = this.top();
    const first = Math.max(0, Math.floor(top / ROW) - MARGIN);
    const last = Math.min(this.total - 1, Math.ceil((top + this.shown) / ROW) + MARGIN);
    // Where the scroll bar stands for more than it shows, lines are placed around the place that is seen.
    const base = this.total * ROW > TALLEST ? this.view.scrollTop - top : 0;
    for (const [index, node] of this.nodes) {
      if (anew || index < first || index > last || (!node.arrived && this.lineAt(index)?.row)) {
        node.element.remove();
        this.nodes.delete(index);
      }
    }
    const fresh = document.createDocumentFragment();
    for (let index = first; index <= last; index += 1) {
      let node = this.nodes.get(index);
      if (!node) {
        const line = this.lineAt(index);
        if (!line) continue;
        node = { element: this.drawn(line, index), arrived: line.kind === "group" || Boolean(line.row), at: null, isCursor: null };
        this.nodes.set(index, node);
        fresh.append(node.element);
      }
      // What has not changed is not touched: the browser would look at it again.
      const at = Math.round(base + index * ROW);
      if (node.at !== at) {
        node.at = at;
        node.element.style.top = `${at}px`;
      }
      const isCursor = index === this.cursor;
      if (node.isCursor !== isCursor) {
        node.isCursor = isCursor;
        node.element.classList.toggle("cursor", isCursor);
        node.element.setAttribute("aria-selected", String(isCursor));
      }
    }
    if (fresh.firstChild) this.space.append(fresh);
    const active = this.nodes.has(this.cursor) ? `line-${this.cursor}` : null;
    if (active !== this.active) {
      this.active = active;
      if (active) this.view.setAttribute("aria-activedescendant", active);
      else this.view.removeAttribute("aria-activedescendant");
    }
  }

  drawn(line, index) {
    const properties = { id: `line-${index}`, role: "row", "aria-rowindex": index + 1, "aria-level": line.depth + 1, "data-index": index };
    if (line.kind === "group") return this.drawnGroup(line, properties);
    const { row } = line;
    if (!row) return h("div", { ...properties, class: "line waiting" }, h("span", { role: "gridcell" }, "…"));
    const glyph = GLYPHS.find(([flag]) => row.flags & flag);
    const element = h("div", { ...properties, class: `line record${glyph ? ` is-${glyph[2]}` : ""}` },
      h("span", { role: "gridcell", class: "seq" }, row.seq),
      h("span", { role: "gridcell", class: "time" }, row.at_ms ? clock(this.times.at(row.seq, row.at_ms)) : ""),
      h("span", { role: "gridcell", class: "glyph", title: glyph?.[3] }, glyph ? glyph[1] : "", glyph && h("span", { class: "unseen" }, glyph[3])),
      h("span", { role: "gridcell", class: `kind k-${/^[a-z_]+$/.test(row.kind) ? row.kind : "other"}` }, row.kind),
      h("span", { role: "gridcell", class: "text" }, cut(row.line, this.letters)));
    element.style.setProperty("--depth", line.depth);
    return element;
  }

  drawnGroup({ group, depth, isOpen }, properties) {
    const [sign, word] = OUTCOMES[group.outcome] ?? ["", ""];
    const seconds = (this.times.at(group.last, group.until_ms) - this.times.at(group.first, group.at_ms)) / 1000;
    const element = h("div", { ...properties, class: `line group level-${group.level} g-${group.kind}`, "aria-expanded": String(isOpen) },
      h("span", { role: "gridcell", class: "title" },
        h("span", { class: "chevron", "aria-hidden": "true" }, isOpen ? "▾" : "▸"),
        h("span", { class: `outcome ${word}`, title: word }, sign, word && h("span", { class: "unseen" }, word)),
        h("b", {}, group.title), h("span", { class: "end" }, cut(group.end, 240))),
      h("span", { role: "gridcell", class: "tally" },
        group.achievements > 0 && h("span", { class: "tag achievement", title: counted(group.achievements, "new achievement") }, `★ ${count(group.achievements)}`),
        group.failures > 0 && h("span", { class: "tag failure", title: counted(group.failures, "failure") }, `! ${count(group.failures)}`),
        group.steps > 0 && h("span", { class: "steps" }, counted(group.steps, "step")),
        h("span", { class: "took" }, span(seconds))));
    element.style.setProperty("--depth", depth);
    return element;
  }

  // The reader.

  clicked(event, twice = false) {
    const element = event.target.closest?.("[data-index]");
    if (!element) return;
    const index = Number(element.dataset.index);
    const line = this.lineAt(index);
    if (!line) return;
    if (line.kind === "group" && !twice) {
      this.choose(index);
      this.toggle(line.group);
    } else {
      this.choose(index);
    }
  }

  choose(index, tell = true) {
    if (this.total === 0) return;
    this.cursor = Math.max(0, Math.min(index, this.total - 1));
    const line = this.lineAt(this.cursor);
    const group = line?.kind === "group" ? line.group : null;
    const seq = group ? group.first : line?.seq;
    this.chosen = group ? { seq, key: groupKey(group) } : { seq };
    this.toIndex(this.cursor, "nearest");
    this.draw();
    if (tell && seq) this.select(seq);
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.shown / ROW) - 1);
    const line = this.lineAt(this.cursor);
    const moves = {
      ArrowDown: () => this.choose(this.cursor + 1), ArrowUp: () => this.choose(this.cursor - 1),
      PageDown: () => this.choose(this.cursor + page), PageUp: () => this.choose(this.cursor - page),
      Home: () => this.choose(0), End: () => this.choose(this.total - 1),
      Enter: () => (line?.kind === "group" ? this.toggle(line.group) : this.choose(this.cursor)),
      ArrowRight: () => {
        if (line?.kind === "group" && !line.isOpen) this.toggle(line.group, true);
        else this.choose(this.cursor + 1);
      },
      ArrowLeft: () => {
        if (line?.kind === "group" && line.isOpen) this.toggle(line.group, false);
        else this.outwards(line);
      },
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  }

  /** To the group that holds the line. */
  outwards(line) {
    for (let index = this.cursor - 1; index >= 0 && line; index -= 1) {
      const segment = this.segmentAt(index);
      if (segment.kind === "group" && segment.depth < line.depth) return this.choose(segment.start);
      index = segment.start;
    }
  }
}

/** What the signs of the timeline mean. */
export function legend() {
  return h("ul", { class: "legend" }, GLYPHS.map(([, sign, name, words]) =>
    h("li", {}, h("span", { class: `glyph is-${name}`, "aria-hidden": "true" }, sign), words)));
}
