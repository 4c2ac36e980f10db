// A map of memories: those that say alike things lie near each other.

import { h, s } from "./dom.js";
import { counted, cut } from "./format.js";

const [WIDTH, HEIGHT, EDGE] = [560, 380, 26];
const ROUNDS = 40;
const MOST_LABELS = 9;

/** The words of a text that say something, in small letters. */
export function wordsOf(text) {
  return (text.toLowerCase().match(/[\p{L}\p{N}_]{3,}/gu) ?? []).filter((word) => !/^(the|and|for|was|with|that|this|not|but|are|has|had|its)$/.test(word));
}

/** Vectors of texts by how often each word stands in them, rare words counting more; and in how many texts each word stands. */
function weighted(texts) {
  const counts = texts.map((text) => {
    const own = new Map();
    for (const word of wordsOf(text)) own.set(word, (own.get(word) ?? 0) + 1);
    return own;
  });
  const spread = new Map();
  for (const own of counts) for (const word of own.keys()) spread.set(word, (spread.get(word) ?? 0) + 1);
  // A word of one text only, or of all, tells nothing apart.
  const telling = [...spread].filter(([, number]) => number > 1 && number < texts.length);
  const place = new Map(telling.map(([word], index) => [word, index]));
  const vectors = counts.map((own) => {
    const vector = new Float64Array(place.size);
    for (const [word, number] of own) if (place.has(word)) vector[place.get(word)] = (1 + Math.log(number)) * Math.log(texts.length / spread.get(word));
    const length = Math.hypot(...vector) || 1;
    return vector.map((value) => value / length);
  });
  return { vectors, telling: telling.map(([word, number]) => ({ word, number })) };
}

/** The two directions in which the vectors differ most (principal components, by power iteration), as a place for each vector. */
export function projected(vectors) {
  const size = vectors[0]?.length ?? 0;
  const mean = new Float64Array(size);
  for (const vector of vectors) vector.forEach((value, index) => { mean[index] += value / vectors.length; });
  const rows = vectors.map((vector) => vector.map((value, index) => value - mean[index]));
  const dot = (one, other) => one.reduce((sum, value, index) => sum + value * other[index], 0);
  const axes = [];
  for (let number = 0; number < 2; number += 1) {
    // The same map each time.
    let axis = Float64Array.from({ length: size }, (_, index) => Math.sin(index * 12.9898 + number * 78.233 + 1));
    for (let round = 0; round < ROUNDS; round += 1) {
      const next = new Float64Array(size);
      for (const row of rows) {
        const share = dot(row, axis);
        row.forEach((value, index) => { next[index] += value * share; });
      }
      for (const known of axes) {
        const share = dot(next, known);
        known.forEach((value, index) => { next[index] -= value * share; });
      }
      const length = Math.sqrt(dot(next, next));
      if (length < 1e-12) break;
      axis = next.map((value) => value / length);
    }
    axes.push(axis);
  }
  return rows.map((row) => axes.map((axis) => dot(row, axis)));
}

/** The drawing of memories, each a link to it, with the words that places have in common. */
export function memoryMap(memories, link, chosen) {
  if (memories.length < 3) return h("p", { class: "note" }, "A map needs three memories or more.");
  const { vectors, telling } = weighted(memories.map(({ text }) => text));
  if (telling.length < 2) return h("p", { class: "note" }, "These memories share too few words for a map.");
  const places = projected(vectors);
  const scale = (axis, size) => {
    const values = places.map((place) => place[axis]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return (value) => EDGE + ((value - low) / (high - low || 1)) * (size - 2 * EDGE);
  };
  const [across, down] = [scale(0, WIDTH), scale(1, HEIGHT)];
  // Equal texts would cover each other: each turn goes a little further out.
  const turns = new Map();
  const dots = places.map(([x, y]) => {
    const key = `${Math.round(across(x) / 5)} ${Math.round(down(y) / 5)}`;
    const turn = turns.get(key) ?? 0;
    turns.set(key, turn + 1);
    return [across(x) + 5 * Math.sqrt(turn) * Math.cos(2.4 * turn), down(y) + 5 * Math.sqrt(turn) * Math.sin(2.4 * turn)];
  });
  const labels = [];
  for (const { word } of telling.sort((one, other) => other.number - one.number)) {
    const own = dots.filter((_, index) => memories[index].text.toLowerCase().includes(word));
    if (own.length < 2) continue;
    const [x, y] = [0, 1].map((axis) => own.reduce((sum, dot) => sum + dot[axis], 0) / own.length);
    if (labels.every((label) => Math.abs(label.y - y) > 16 || Math.abs(label.x - x) > 90)) labels.push({ word, x, y });
    if (labels.length === MOST_LABELS) break;
  }
  return h("figure", { class: "map" },
    s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": `A map of ${counted(memories.length, "memory")} by their words; the list has all of them` },
      dots.map(([x, y], index) => s("a", { href: link(memories[index]), tabindex: "-1", "aria-label": cut(memories[index].text, 200) },
        s("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: memories[index].id === chosen ? 8 : 5, class: `m-${memories[index].kind}${memories[index].id === chosen ? " chosen" : ""}` },
          s("title", {}, cut(memories[index].text, 300))))),
      labels.map(({ word, x, y }) => s("text", { x: Math.min(WIDTH - 60, Math.max(30, x)).toFixed(1), y: (y - 9).toFixed(1), "text-anchor": "middle", "aria-hidden": "true" }, cut(word, 20)))),
    h("figcaption", { class: "note" }, "Memories that say alike things, by their words, lie near each other. Words stand amid the memories that have them."));
}
