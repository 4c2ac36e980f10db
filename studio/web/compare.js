// Two futures side by side: a run and its fork, or any two runs.

import { debounced, fill, h } from "./dom.js";
import { count, counted, cut, span } from "./format.js";
import { RunClock, ServerRun, get } from "./source.js";
import { runButtons, runLink } from "./act.js";
import { axisChoice, figures } from "./plots.js";

const MOST_GROUPS = 400;
const SIGNS = { done: "✓", failed: "!", died: "✖" };
const OWN_STEPS = (now) => now.steps;
const ROWS = [
  ["environment steps", OWN_STEPS], ["achievements", (now) => now.achievements], ["skills", (now) => now.skills], ["deaths", (now) => now.deaths],
  ["episodes", (now) => now.episodes], ["steps by reflexes", (now) => now.reflex_steps], ["requests to the controller", (now) => now.requests],
  ["tokens written", (now) => now.written_tokens], ["US dollars", (now) => now.cost_usd],
];

/** The runs that a run was made from, itself first, each with the last record that it took of it: `[[run, record]]`. */
async function lineage(run) {
  const line = [[run.run, Infinity]];
  let [now, until] = [run, Infinity];
  while (now.parent && line.length < 32) {
    const [parent, at] = now.parent;
    until = Math.min(until, at);
    line.push([parent, until]);
    try {
      now = (await get(`/runs/${encodeURIComponent(parent)}`)).run;
    } catch {
      // The parent is gone: what is known of it is enough.
      break;
    }
  }
  return line;
}

/** The last record that both runs share; 0 where they share none. */
export function sharedUntil(one, other) {
  const theirs = new Map(other);
  const shared = one.filter(([run]) => theirs.has(run)).map(([run, until]) => Math.min(until, theirs.get(run)));
  return Math.max(0, ...shared.filter(Number.isFinite));
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
  const verdict = h("p", { class: "verdict", role: "status" });
  const heads = h("tr", {}, h("td", {}));
  const drawSoon = debounced(500, () => draw().catch(() => {}));
  for (const side of sides) {
    side.head = h("div", { class: "run-title" });
    side.list = h("ul", { class: "futures" });
    side.changed = h("div", {});
    side.doing = h("p", { class: "note", role: "status" });
    side.buttons = runButtons(drawSoon);
  }
  fill(place, h("div", { class: "page compare" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Side by side"), axisChoice(axis, (to) => {
    axis = to;
    drawSoon();
  })), shared, verdict,
  h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", {}, h("thead", {}, heads), table)),
  h("div", { class: "columns" }, sides.map((side, index) => h("section", { class: "card", "aria-label": index ? "The other run" : "The one run" },
    side.head, side.doing, side.buttons.place, side.changed, side.list))), charts));

  async function draw() {
    await Promise.all(sides.map(async (side) => {
      side.one = await side.source.one();
      side.series = await side.source.series();
    }));
    if (closed) return;
    for (const side of sides) side.line ??= await lineage(side.one.run);
    const at = sharedUntil(sides[0].line, sides[1].line);
    // Up to there both are the same: the point that is nearest counts for both.
    const nearest = sides.map((side) => side.series.points.findLast((point) => point.seq <= at)).filter(Boolean);
    const before = nearest.sort((one, other) => other.seq - one.seq)[0] ?? {};
    for (const side of sides) {
      const { points } = side.series;
      const last = points[points.length - 1] ?? {};
      side.taken = Math.max(0, (last.steps ?? 0) - (before.steps ?? 0));
      side.times = new RunClock(side.one.clock);
      side.until = (step) => points.findLast((point) => point.seq <= at || point.steps - (before.steps ?? 0) <= step) ?? before;
      side.since = (value, point) => Math.max(0, (value(point) ?? 0) - (value(before) ?? 0));
      side.gained = side.series.achievements.filter((first) => first.seq > at);
    }
    const [one, other] = sides;
    const common = Math.min(one.taken, other.taken);
    const isEven = one.taken === other.taken;
    const shorter = one.taken < other.taken ? one : other;
    const nameOf = (side) => cut(side.one.run.title || side.one.run.run, 40);
    fill(shared, at ? `Both begin with the same ${counted(at, "record")}. What stands here is what came after them. ` : "These runs share no beginning: all of each stands here. ",
      !isEven && h("b", {}, common === 0 ? `${nameOf(shorter)} has taken no step of its own yet: there is nothing to compare.`
        : `They can be compared until step ${count(common)}: ${nameOf(shorter)} ${shorter.one.run.live ? "has taken no more yet" : "has taken no more"}.`));
    // The answer in words: who died until the step that both have reached.
    const deaths = sides.map((side) => side.since((point) => point.deaths, isEven ? side.series.points.at(-1) ?? {} : side.until(common)));
    const died = (number) => (number === 0 ? "did not die" : number === 1 ? "died" : `died ${count(number)} times`);
    fill(verdict, at > 0 && common > 0 && (deaths[0] === deaths[1] ? `Within the same ${counted(common, "step")} ${deaths[0] ? `both ${died(deaths[0])}` : "neither died"}.`
      : `Within the same ${counted(common, "step")} ${nameOf(one)} ${died(deaths[0])}, and ${nameOf(other)} ${died(deaths[1])}.`));
    // What both have done is shown at the same step; beside it, all that each has done.
    const same = isEven || common === 0 ? null : common;
    fill(heads, h("td", {}), same && sides.map((side) => h("th", { scope: "col", class: "number" }, nameOf(side), h("span", { class: "note" }, ` until step ${count(same)}`))),
      sides.map((side) => h("th", { scope: "col", class: "number" }, nameOf(side), !isEven && h("span", { class: "note" }, ` in all ${counted(side.taken, "step")}`))));
    const both = (shown) => [same && sides.map((side) => shown(side, side.until(same), same)), sides.map((side) => shown(side, side.series.points.at(-1) ?? {}, Infinity))];
    fill(table, ROWS.map(([name, value]) => {
      if (sides.every((side) => !side.since(value, side.series.points.at(-1) ?? {}))) return null;
      const shown = (number) => (name === "US dollars" ? number.toFixed(4) : count(number));
      return h("tr", {}, h("th", { scope: "row" }, name), both((side, point, step) =>
        // The totals are known at some of the steps only; the step itself is.
        h("td", { class: "number" }, value === OWN_STEPS && Number.isFinite(step) ? count(step) : shown(side.since(value, point)))));
    }), h("tr", {}, h("th", { scope: "row" }, "time that it ran"), both((side, point) => h("td", { class: "number" }, span(side.since((now) => now.ran_ms, point) / 1000)))),
    h("tr", {}, h("th", { scope: "row" }, "new achievements"), both((side, point, step) => {
      const until = (one_) => one_.gained.filter((first) => first.steps - (before.steps ?? 0) <= step);
      const theirs = new Set(until(side === one ? other : one).map((first) => first.name));
      const gained = until(side);
      return h("td", { class: "number wraps" }, gained.length === 0 ? "none" : gained.map((first) => h("a", { href: runLink(side.one.run.run, first.seq), class: theirs.has(first.name) ? "tag" : "tag achievement" }, first.name)));
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
    if (run.parent && !side.changed.firstChild) fill(side.changed, await changes(side.source, run.parent));
    const { groups, total } = await side.source.groups({ first: at + 1, to_level: 2, limit: MOST_GROUPS });
    fill(side.list, groups.length === 0 ? h("li", { class: "empty" }, "nothing yet") : groups.map((group) => {
      const item = h("li", { class: `g-level-${group.level}` },
        h("span", { class: `outcome ${group.outcome ?? ""}`, title: group.outcome ?? "" }, SIGNS[group.outcome] ?? "", group.outcome && h("span", { class: "unseen" }, group.outcome)),
        h("a", { href: runLink(run.run, group.first) }, cut(group.title, 120)), h("span", { class: "end" }, cut(group.end, 160)));
      return item;
    }), total > groups.length && h("li", { class: "note" }, `and ${count(total - groups.length)} more`));
  }

  await draw();
  // A fork that was just made loads its model first: the page tells how far its process is.
  const look = async () => {
    for (const side of sides) {
      const { run } = side.one;
      const doing = run.live ? null : (await get(`/runs/${encodeURIComponent(run.run)}/starting`)).doing;
      if (!closed) fill(side.doing, doing && `Its process is ${doing} …`);
    }
  };
  const looks = setInterval(() => look().catch(() => {}), 1000);
  const unfollow = sides.map((side) => side.source.follow(() => drawSoon()));
  return () => {
    closed = true;
    clearInterval(looks);
    for (const end of unfollow) end();
  };
}

/** What a fork changed, from the record that says so, against the settings that its parent had there. */
async function changes(source, [parent, at]) {
  const [forked, { settings }, { goals }] = await Promise.all([source.record(at + 1), get(`${source.path}/settings`, { at }), get(`${source.path}/goals`)]);
  const { config, by } = forked.payload?.changes ?? {};
  const now = config ? (await get(`${source.path}/settings`, { at: at + 1 })).settings : settings;
  const before = new Map(settings.map((one) => [one.key, one.value]));
  const lines = now.filter((one) => JSON.stringify(one.value) !== JSON.stringify(before.get(one.key))).slice(0, 40);
  return [
    h("h3", {}, `Changed after record ${count(at)} of ${parent}${by ? ` by ${by}` : ""}`),
    goals.map((goal) => h("p", {}, "Its goal: ", h("b", {}, goal.text))),
    lines.length === 0 ? goals.length === 0 && h("p", { class: "note" }, "no setting: it only takes another way") : h("table", { class: "changes" }, h("tbody", {}, lines.map((one) => h("tr", {},
      h("th", { scope: "row" }, one.key.replace(/^run\./, "")), h("td", {}, cut(JSON.stringify(before.get(one.key)) ?? "–", 160)), h("td", {}, cut(JSON.stringify(one.value) ?? "–", 400)))))),
  ];
}
