// The keys of a run's page, and what the signs of its timeline mean.

import { ask, h } from "./dom.js";
import { legend } from "./timeline.js";

const KEYS = [
  ["↑ ↓", "one line up or down"], ["← →", "close or open a group"], ["space", "play or pause"], ["n p", "next or previous record"],
  ["f F", "next or previous failure"], ["a A", "next or previous achievement"], ["d D", "next or previous death"],
  ["w", "how the chosen episode ended: why, what it knew, what if"], ["g", "go to a record by its number"], ["/", "search"],
  ["e", "open or close all groups"], ["?", "these keys"],
];

/** Tells the keys. `where` says on which page they work, where that is not this one. */
export function help(where = null) {
  ask({ title: "Keys", body: [where && h("p", { class: "note" }, where),
    h("dl", { class: "keys" }, KEYS.map(([key, words]) => h("div", {}, h("dt", {}, key.split(" ").map((one) => h("kbd", {}, one))), h("dd", {}, words)))), legend()], button: "Close" });
}
