// The overview strip: a run from end to end, with what stands out, and a window on it.

import { fill, h, s } from "./dom.js";
import { count, counted } from "./format.js";

const STRIP_HEIGHT = 56;
const LANES = [
  ["achievements", "★", 10], ["skills", "◆", 22], ["lessons", "✎", 34], ["deaths", "✖", 46],
];

/** The width and height of a sign, for pointers. */
const SIGN = 12;

const EMPTY = { failures: 0, achievements: 0, deaths: 0, lessons: 0, skills: 0, damaged: 0 };

export class Strip {
  /** `seek(seq)` is called when the reader points at a place. */
  constructor({ source, seek }) {
    this.source = source;
    this.seek = seek;
    this.range = null;
    this.total = 0;
    this.at = null;
    this.drawing = s("svg", { class: "strip-drawing", role: "img", "aria-label": "Overview of the run" });
    this.words = h("p", { class: "strip-words", "aria-live": "off" });
    this.slider = h("input", {
      type: "range", class: "strip-slider", min: "1", max: "1", step: "1", value: "1", "aria-label": "Place in the run",
      oninput: () => this.seek(Number(this.slider.value)), onclick: (event) => this.clicked(event),
    });
    this.wide = h("button", { type: "button", class: "small", hidden: true, onclick: () => this.zoom(null) }, "Whole run");
    this.view = h("section", { class: "strip", "aria-label": "Overview" },
      h("div", { class: "strip-place" }, this.drawing, this.slider), h("div", { class: "strip-foot" }, this.words, this.wide));
    this.drawing.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.slider.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.slider.addEventListener("pointermove", (event) => this.pointed(event));
    this.size = new ResizeObserver(() => this.draw());
    this.size.observe(this.drawing);
  }

  close() {
    this.size.disconnect();
  }

  async load(total) {
    this.total = total;
    const [first, last] = this.range ?? [1, total];
    this.slider.min = String(first);
    this.slider.max = String(Math.max(first, last));
    const wanted = Math.min(480, Math.max(60, Math.floor((this.drawing.clientWidth || 800) / 4)));
    const { buckets } = await this.source.buckets({ first, last, limit: wanted });
    // Zeros are not sent.
    this.buckets = buckets.map((bucket) => ({ ...EMPTY, ...bucket }));
    this.wide.hidden = !this.range;
    this.draw();
    this.mark(this.at);
  }

  /** Shows these records only; null for all. */
  zoom(range) {
    this.range = range;
    return this.load(this.total);
  }

  wheeled(event) {
    event.preventDefault();
    const box = this.drawing.getBoundingClientRect();
    const [first, last] = this.range ?? [1, this.total];
    const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    const factor = event.deltaY < 0 ? 0.6 : 1 / 0.6;
    const length = Math.round((last - first + 1) * factor);
    if (length >= this.total) return this.zoom(null);
    if (length < 40) return undefined;
    const center = first + share * (last - first);
    const from = Math.max(1, Math.round(Math.min(center - share * length, this.total - length)));
    return this.zoom([from, Math.min(this.total, from + length)]);
  }

  /** The sign that is pointed at: what it stands for, and its records. A sign is larger than the place of its record. */
  signAt(event) {
    const box = this.drawing.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const lane = LANES.find(([, , middle]) => Math.abs(y - middle) <= SIGN / 2);
    if (!lane || !this.buckets) return null;
    const [name] = lane;
    const far = (bucket) => Math.abs(this.place((bucket.first + bucket.last) / 2) - x);
    const [nearest] = this.buckets.filter((bucket) => bucket[name] > 0 && far(bucket) <= SIGN).sort((one, other) => far(one) - far(other));
    return nearest ? { name, bucket: nearest } : null;
  }

  /** Whoever points at a sign means the record that it stands for, and not the one that is drawn below the pointer. */
  async clicked(event) {
    const sign = this.signAt(event);
    if (!sign) return;
    const { seq } = await this.source.next({ after: sign.bucket.first - 1, only: sign.name });
    if (seq && seq <= sign.bucket.last) this.seek(seq);
  }

  pointed(event) {
    const sign = this.signAt(event);
    if (sign) {
      this.tell(sign.bucket);
      return;
    }
    const box = this.drawing.getBoundingClientRect();
    const [first, last] = this.range ?? [1, this.total];
    const seq = Math.round(first + ((event.clientX - box.left) / box.width) * (last - first));
    const bucket = this.buckets?.find((one) => seq >= one.first && seq <= one.last);
    this.tell(bucket);
  }

  tell(bucket) {
    const [first, last] = this.range ?? [1, this.total];
    if (!bucket) {
      fill(this.words, `records ${count(first)} to ${count(last)}`);
      return;
    }
    const parts = [
      [bucket.achievements, "achievement"], [bucket.skills, "skill"], [bucket.lessons, "lesson"], [bucket.deaths, "death"],
      [bucket.failures, "failure"], [bucket.damaged, "damaged record"],
    ].filter(([number]) => number > 0).map(([number, word]) => counted(number, word));
    fill(this.words, `records ${count(bucket.first)} to ${count(bucket.last)}: ${parts.join(", ") || "nothing that stands out"}`);
  }

  /** Marks the place of a record. */
  mark(seq) {
    this.at = seq;
    if (!seq) return;
    const [first, last] = this.range ?? [1, this.total];
    if (this.range && (seq < first || seq > last)) {
      const half = (last - first) / 2;
      const from = Math.max(1, Math.round(seq - half));
      this.zoom([from, Math.min(this.total, from + Math.round(half * 2))]);
      return;
    }
    this.slider.value = String(seq);
    this.slider.setAttribute("aria-valuetext", `record ${seq} of ${this.total}`);
    this.line?.setAttribute("x", String(this.place(seq) - 1));
  }

  place(seq) {
    const [first, last] = this.range ?? [1, this.total];
    return ((seq - first + 0.5) / Math.max(1, last - first + 1)) * (this.drawing.clientWidth || 800);
  }

  draw() {
    if (!this.buckets) return;
    const width = this.drawing.clientWidth || 800;
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${STRIP_HEIGHT}`);
    const bars = this.buckets.filter((bucket) => bucket.failures > 0 || bucket.damaged > 0).map((bucket) => {
      const [left, right] = [this.place(bucket.first - 0.5), this.place(bucket.last + 0.5)];
      const share = bucket.failures / (bucket.last - bucket.first + 1);
      const height = bucket.damaged ? STRIP_HEIGHT : 4 + share * (STRIP_HEIGHT - 8);
      return s("rect", { class: bucket.damaged ? "is-damaged" : "is-failure", x: left, y: STRIP_HEIGHT - height, width: Math.max(1, right - left - 0.5), height });
    });
    const marks = LANES.flatMap(([name, sign, y]) => {
      let free = -Infinity;
      return this.buckets.filter((bucket) => bucket[name] > 0).map((bucket) => {
        const x = this.place((bucket.first + bucket.last) / 2);
        // Signs that would lie on each other become a dash.
        const isFree = x - free >= 9;
        if (isFree) free = x;
        return isFree
          ? s("text", { class: `mark is-${name}`, x, y: y + 3, "text-anchor": "middle" }, sign)
          : s("rect", { class: `mark is-${name}`, x: x - 1, y: y - 1.5, width: 2, height: 3 });
      });
    });
    this.line = s("rect", { class: "now", x: -10, y: 0, width: 2, height: STRIP_HEIGHT });
    fill(this.drawing, s("rect", { class: "ground", x: 0, y: 0, width, height: STRIP_HEIGHT, rx: 4 }), bars, marks, this.line);
    this.tell(null);
    if (this.at) this.line.setAttribute("x", String(this.place(this.at) - 1));
  }
}
