// Two futures side by side: a run and its fork, or any two runs.

import { debounced, fill, h } from "./dom.js";
import { count, counted, cut, span } from "./format.js";
import { ServerRun } from "./source.js";
import { runButtons, runLink } from "./act.js";
import { axisChoice, figures } from "./plots.js";

const MOST_GROUPS = 400;
const SIGNS = { done: "✓", failed: "!", died: "✖" };
const ROWS = [
  ["environment steps", (now) => now.steps], ["achievements", (now) => now.achievements], ["skills", (now) => now.skills], ["deaths", (now) => now.deaths],
  ["episodes", (now) => now.episodes], ["steps by reflexes", (now) => now.reflex_steps], ["requests to the controller", (now) => now.requests],
  ["tokens written", (now) => now.written_tokens], ["US dollars", (now) => now.cost_usd],
];

/** The last record that both runs share; 0 where they share none. */
export function sharedUntil(one, other) {
  const parents = (run) => run.parent ?? [null, 0];
  const [[ofOne, atOne], [ofOther, atOther]] = [parents(one), parents(other)];
  if (ofOther === one.run) return atOther;
  if (ofOne === other.run) return atOne;
  return ofOne && ofOne === ofOther ? Math.min(atOne, atOther) : 0;
}

/** The members that differ: `[path, one, other]`. */
export function differing(one, other, path = "") {
  const isDeep = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isDeep(one) || !isDeep(other)) return JSON.stringify(one) === JSON.stringify(other) ? [] : [[path, one, other]];
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].flatMap((name) => differing(one[name], other[name], path ? `${path}.${name}` : name));
}

/** The page of two runs. Returns what ends it. */
export async function comparePage(place, { runs }) {
  if (runs.length !== 2) throw new Error("two runs stand side by side: choose them on the page of the runs");
  const sides = runs.map((name) => ({ source: new ServerRun(name) }));
  let closed = false;
  let axis = "steps";
  const table = h("tbody", {});
  const charts = h("div", { class: "charts" });
  const shared = h("p", { class: "note" });
  const heads = h("tr", {}, h("td", {}));
  const drawSoon = debounced(500, () => draw().catch(() => {}));
  for (const side of sides) {
    side.head = h("div", { class: "run-title" });
    side.list = h("ul", { class: "futures" });
    side.changed = h("div", {});
    side.buttons = runButtons(drawSoon);
  }
  fill(place, h("div", { class: "page compare" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Side by side"), axisChoice(axis, (to) => {
    axis = to;
    drawSoon();
  })), shared,
  h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", {}, h("thead", {}, heads), table)),
  h("div", { class: "columns" }, sides.map((side, index) => h("section", { class: "card", "aria-label": index ? "The other run" : "The one run" },
    side.head, side.buttons.place, side.changed, side.list))), charts));

  async function draw() {
    await Promise.all(sides.map(async (side) => {
      side.one = await side.source.one();
      side.series = await side.source.series();
    }));
    if (closed) return;
    const at = sharedUntil(sides[0].one.run, sides[1].one.run);
    fill(shared, at ? [`Both begin with the same ${counted(at, "record")}. What stands here is what came after them.`] : "These runs share no beginning: all of each stands here.");
    fill(heads, h("td", {}), sides.map(({ one }) => h("th", { scope: "col", class: "number" }, cut(one.run.title || one.run.run, 40))));
    // Up to there both are the same: the point that is nearest counts for both.
    const nearest = sides.map((side) => side.series.points.findLast((point) => point.seq <= at)).filter(Boolean);
    const before = nearest.sort((one, other) => other.seq - one.seq)[0] ?? {};
    for (const side of sides) {
      const { points } = side.series;
      const last = points[points.length - 1] ?? {};
      const first = points.find((point) => point.seq > at) ?? last;
      side.since = (value) => Math.max(0, (value(last) ?? 0) - (value(before) ?? 0));
      side.seconds = (last.at_ms - first.at_ms) / 1000;
      side.gained = side.series.achievements.filter((first) => first.seq > at);
    }
    fill(table, ROWS.map(([name, value]) => {
      const [left, right] = sides.map((side) => side.since(value));
      if (!left && !right) return null;
      const shown = (number) => (name === "US dollars" ? number.toFixed(4) : count(number));
      return h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "number" }, shown(left)), h("td", { class: "number" }, shown(right)));
    }), h("tr", {}, h("th", { scope: "row" }, "time"), sides.map((side) => h("td", { class: "number" }, span(side.seconds)))),
    h("tr", {}, h("th", { scope: "row" }, "new achievements"), sides.map((side, index) => {
      const theirs = new Set(sides[1 - index].gained.map((first) => first.name));
      return h("td", { class: "number wraps" }, side.gained.length === 0 ? "none" : side.gained.map((first) => h("a", { href: runLink(side.one.run.run, first.seq), class: theirs.has(first.name) ? "tag" : "tag achievement" }, first.name)));
    })));
    await Promise.all(sides.map((side) => drawSide(side, at)));
    if (!closed) fill(charts, figures(sides.map((side) => side.series), axis));
  }

  async function drawSide(side, at) {
    const { run } = side.one;
    side.buttons.update(run);
    fill(side.head, h("h2", {}, h("a", { href: runLink(run.run, at || null) }, run.title || run.run)),
      h("span", { class: `status s-${run.live ? "running" : run.status.replace(" ", "-")}` }, run.live && h("span", { class: "dot live" }), run.live ? "running" : run.status),
      h("span", { class: "note" }, [run.title && run.run, run.environment, run.model].filter(Boolean).join(" · ")));
    if (at && run.parent?.[1] === at && !side.changed.firstChild) fill(side.changed, await changes(side.source, at));
    const { groups, total } = await side.source.groups({ first: at + 1, to_level: 2, limit: MOST_GROUPS });
    fill(side.list, groups.length === 0 ? h("li", { class: "empty" }, "nothing yet") : groups.map((group) => {
      const item = h("li", { class: `g-level-${group.level}` },
        h("span", { class: `outcome ${group.outcome ?? ""}`, title: group.outcome ?? "" }, SIGNS[group.outcome] ?? "", group.outcome && h("span", { class: "unseen" }, group.outcome)),
        h("a", { href: runLink(run.run, group.first) }, cut(group.title, 120)), h("span", { class: "end" }, cut(group.end, 160)));
      return item;
    }), total > groups.length && h("li", { class: "note" }, `and ${count(total - groups.length)} more`));
  }

  await draw();
  const unfollow = sides.map((side) => side.source.follow(() => drawSoon()));
  return () => {
    closed = true;
    for (const end of unfollow) end();
  };
}

/** What a fork changed, from the record that says so. */
async function changes(source, at) {
  const [forked, first] = await Promise.all([source.record(at + 1), source.record(1)]);
  const { config, model, by } = forked.payload?.changes ?? {};
  const lines = config ? differing(first.payload?.config ?? {}, config).slice(0, 20) : [];
  return [
    h("h3", {}, `Changed after record ${count(at)}${by ? ` by ${by}` : ""}`),
    lines.length === 0 && !model ? h("p", { class: "note" }, "nothing: it only takes another way") : h("table", { class: "changes" }, h("tbody", {}, lines.map(([path, before, after]) => h("tr", {},
      h("th", { scope: "row" }, path), h("td", {}, cut(JSON.stringify(before) ?? "–", 160)), h("td", {}, cut(JSON.stringify(after) ?? "–", 400)))))),
  ];
}
