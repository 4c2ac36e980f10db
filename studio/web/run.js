// A run: the strip, the timeline and the moment, which keep in step.

import { ask, debounced, fill, h, isTyping, say } from "./dom.js";
import { help } from "./keys.js";
import { tryAgain } from "./again.js";
import { count, counted, span } from "./format.js";
import { FLAG_WORDS, RunClock, get } from "./source.js";
import { addGoal, forkRun, runButtons, runLink } from "./act.js";
import { Timeline } from "./timeline.js";
import { Strip } from "./strip.js";
import { Moment } from "./moment.js";
import { Ended } from "./ended.js";
import { axisChoice, figures } from "./plots.js";

/** The pause between two looks at a run that grows. */
const BETWEEN_LOOKS_MS = 100;
/** Records of a log that is soon read. */
const SHORT_LOG = 20_000;
/** The overview is drawn whole, so it is drawn less often. */
const BETWEEN_STRIPS_MS = 1000;

/** The page of a run. Returns what ends it. */
export async function runPage(place, { source, seq: wanted, kinds = [], remember = () => {} }) {
  const one = await source.one();
  const times = new RunClock(one.clock);
  let latest = one.run;
  const state = { read: one.read, records: one.run.records, seq: 0, target: 0, filter: {}, closed: false };

  const select = (seq) => seek(seq, { from: "timeline" });
  const timeline = new Timeline({ source, times, select });
  const strip = new Strip({ source, seek: (seq) => seek(seq, { from: "strip" }) });
  const moment = new Moment({ source, times, seek: (seq, how) => seek(seq, { from: "moment", ...how }), fork: source.canAct ? forkHere : null });

  moment.total = one.read;
  const ended = new Ended({ source, times, seek: (seq) => seek(seq, { from: "key" }), frameAt: (seq) => moment.frameAt(seq), fork: source.canAct ? forkHere : null, again: source.canAct ? (fall) => tryAgain(latest, fall) : null });

  async function seek(seq, { from, scrub = false } = {}) {
    if (!seq || state.closed) return;
    if (from !== "start") state.target = 0;
    state.seq = seq;
    await moment.cover(timeline.episodeOf(seq), state.read);
    strip.mark(seq);
    const shown = moment.show(seq);
    ended.follow(seq);
    if (from !== "timeline") await timeline.reveal(seq, { block: scrub ? "nearest" : "center" });
    fill(hidden, timeline.matches && timeline.hidden && [`The filter hides record ${count(seq)}, which is chosen. `, h("button", { type: "button", class: "small", onclick: showAll }, "Show all records")]);
    await shown;
    if (!state.target) remember(seq);
  }

  async function jump(only, back = false) {
    moment.stop();
    const { seq } = await source.next({ after: state.seq, only, back });
    if (seq) await seek(seq, { from: "key" });
    else say(`There is no ${back ? "earlier" : "later"} ${FLAG_WORDS[only]}.`);
  }

  // What is chosen and what the list shows agree, or the page says so.
  const hidden = h("p", { class: "note hidden-record", role: "status" });
  function showAll() {
    only.value = "";
    if (kind) kind.value = "";
    refilter();
  }

  function forkHere(seq) {
    return forkRun(latest, seq);
  }

  // The head.

  const status = h("span", { class: "status" });
  const numbers = h("dl", { class: "numbers" });
  const reading = h("p", { class: "reading", role: "status" });
  const damage = h("div", { class: "damage" });
  const buttons = source.canAct ? runButtons(() => grow()) : null;
  const waiting = h("div", { class: "waits", role: "status" });
  const goals = h("div", { class: "goals", role: "status" });

  function head(now) {
    const { run, totals } = now;
    times.set(now.clock);
    fill(status, run.live ? h("span", { class: "dot live" }) : null, run.live ? "running" : run.status);
    status.className = `status s-${run.live ? "running" : run.status.replace(" ", "-")}`;
    latest = run;
    buttons?.update(run);
    ended.update(now).catch(() => {});
    const pairs = [
      ["records", count(run.records)], ["episodes", count(totals?.episodes ?? 0)], ["steps", count(totals?.steps ?? 0)],
      ["achievements", count(now.achievements.length)], ["skills", count(totals?.skills ?? 0)], ["deaths", count(totals?.deaths ?? 0)],
      ["tokens written", count(totals?.written_tokens ?? 0)], ["ran", span(times.at(run.records, run.last_at_ms) / 1000)],
    ];
    if (totals?.cost_usd > 0) pairs.push(["cost", `${totals.cost_usd.toFixed(4)} $`]);
    fill(numbers, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    fill(reading, now.read < run.records && !now.sampled ? `reading the log: ${count(now.read)} of ${count(run.records)} records` : "");
    fill(damage, now.damaged > 0 && h("details", { class: "problem" },
      h("summary", {}, `${counted(now.damaged, "record")} of this log cannot be read. All others are shown.`),
      h("ul", {}, now.damage.map((defect) => h("li", {}, `record ${defect.seq}: ${defect.reason}`)))),
    now.sampled && (now.sampled.records < now.sampled.of || now.sampled.lines_only > 0 || now.sampled.frames < now.sampled.records) && h("p", { class: "note sampled" },
      `This report holds ${count(now.sampled.records)} of ${count(now.sampled.of)} records, the world at ${count(now.sampled.frames)} of them, and ${count(now.sampled.details)} requests and trials in full${now.sampled.lines_only ? ` (${count(now.sampled.lines_only)} in one line)` : ""}.`));
  }

  // Filters and search.

  const only = h("select", { "aria-label": "Show only", onchange: refilter }, h("option", { value: "" }, "all records"),
    Object.keys(FLAG_WORDS).map((name) => h("option", { value: name }, `only ${name}`)));
  const kind = kinds.length ? h("select", { "aria-label": "Kind of record", onchange: refilter }, h("option", { value: "" }, "all kinds"),
    kinds.map((name) => h("option", { value: name }, name))) : null;
  const found = h("span", { class: "note", role: "status" });
  const search = h("input", { type: "search", "aria-label": "Search in the run", placeholder: "Search  /", oninput: debounced(250, () => find()) });
  let searches = 0;

  async function refilter() {
    searches += 1;
    search.value = "";
    state.filter = { only: only.value, kinds: kind?.value ?? "" };
    await timeline.filter(state.filter);
    fill(found, timeline.matches ? counted(timeline.matches.total, "match") : "");
    fill(hidden);
    if (!state.seq) return;
    if (!timeline.matches) return void timeline.reveal(state.seq, { block: "center" });
    // The chosen record, or the nearest one that the filter shows.
    const { seq: after } = await source.next({ after: state.seq - 1, ...state.filter });
    const near = after ?? (await source.next({ after: state.seq, back: true, ...state.filter })).seq;
    if (near) await seek(near, { from: "filter" });
  }

  async function find() {
    searches += 1;
    const mine = searches;
    const text = search.value.trim();
    if (!text) return refilter();
    const matches = [];
    let after = 0;
    for (;;) {
      const answer = await source.search({ q: text, after, limit: 200, ...state.filter });
      if (mine !== searches || state.closed) return undefined;
      matches.push(...answer.records);
      after = answer.searched;
      timeline.found(matches);
      const where = answer.over ? "" : ` so far, ${Math.round((after / Math.max(1, state.records)) * 100)} % searched`;
      fill(found, `${matches.length} found${where}`);
      if (answer.over || matches.length >= 2000) return undefined;
    }
  }

  function goTo() {
    ask({
      title: "Go to a record", body: h("label", {}, "Its number", h("input", { name: "seq", type: "number", min: "1", max: String(state.records), required: true })), button: "Go",
      act: async (form) => seek(Math.min(Number(form.get("seq")), state.read), { from: "key" }),
    });
  }

  let allOpen = false;
  const actions = {
    " ": () => moment.toggle(), n: () => moment.step(1), p: () => moment.step(-1), f: () => jump("failures"), F: () => jump("failures", true),
    a: () => jump("achievements"), A: () => jump("achievements", true), d: () => jump("deaths"), D: () => jump("deaths", true), w: () => ended.open(), g: goTo,
    "/": () => search.focus(), "?": () => help(), e: () => timeline.toggleAll((allOpen = !allOpen)),
  };
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (isTyping(event)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    // A button that is pressed by the space bar means itself.
    if (event.key === " " && event.target.closest?.("button, summary, a")) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };
  document.addEventListener("keydown", pressed);

  // The page.

  const charts = h("div", { class: "charts" });
  let axis = "steps";
  const plot = async () => fill(charts, figures([await source.series()], axis));
  const panes = { timeline: "Timeline", plots: "Plots" };
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Views of the run" }, Object.entries(panes).map(([name, label]) =>
    h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `pane-${name}`, "aria-selected": String(name === "timeline"), tabindex: name === "timeline" ? "0" : "-1",
      onclick: () => turn(name), onkeydown: (event) => {
        if (event.key === "ArrowRight" || event.key === "ArrowLeft") turn(name === "timeline" ? "plots" : "timeline").focus();
      } }, label)));

  function turn(name) {
    for (const each of Object.keys(panes)) {
      const isIt = each === name;
      place.querySelector(`#pane-${each}`).hidden = !isIt;
      const tab = place.querySelector(`#tab-${each}`);
      tab.setAttribute("aria-selected", String(isIt));
      tab.tabIndex = isIt ? 0 : -1;
    }
    if (name === "plots") plot();
    else timeline.draw();
    return place.querySelector(`#tab-${name}`);
  }

  fill(place, h("div", { class: "page run" },
    h("div", { class: "page-head" },
      h("div", { class: "run-title" }, h("h1", { tabindex: "-1" }, one.run.title || one.run.run), status,
        h("span", { class: "note" }, [one.run.title && one.run.run, one.run.environment, one.run.model].filter(Boolean).join(" · ")),
        one.run.parent && h("span", { class: "note" }, "fork of ", h("a", { href: runLink(one.run.parent[0], one.run.parent[1]) }, one.run.parent[0]), ` after record ${one.run.parent[1]}`)),
      h("div", { class: "buttons" }, buttons?.place, source.canAct && h("button", { type: "button", onclick: () => addGoal(latest, lookForGoals) }, "Add a goal…"), one.run.parent && h("a", { class: "button", href: `#/compare?runs=${encodeURIComponent(one.run.parent[0])},${encodeURIComponent(one.run.run)}` }, "Beside its parent"), h("button", { type: "button", class: "small", onclick: () => help() }, "Keys ", h("kbd", {}, "?")))),
    waiting, goals, numbers, damage, reading, ended.view, strip.view, tabs,
    h("div", { id: "pane-timeline", role: "tabpanel", "aria-labelledby": "tab-timeline", class: "panes" },
      h("section", { class: "left", "aria-label": "Timeline" },
        h("div", { class: "filters" }, search, only, kind,
          h("span", { class: "jumps" },
            h("button", { type: "button", class: "small", title: "Next failure (f)", onclick: () => jump("failures") }, "! next failure"),
            h("button", { type: "button", class: "small", title: "Next achievement (a)", onclick: () => jump("achievements") }, "★ next achievement")), found),
        hidden, timeline.view),
      h("section", { class: "right", "aria-label": "Moment" }, moment.view)),
    h("div", { id: "pane-plots", role: "tabpanel", "aria-labelledby": "tab-plots", class: "plots", hidden: true },
      axisChoice(axis, (to) => {
        axis = to;
        plot();
      }), charts)));

  // Without a record in the address: the end, as far as the log is read in a moment, and how it ended.
  const isWhole = one.read >= one.run.records || Boolean(one.sampled);
  const opensEnd = !wanted && !one.run.live;
  if (opensEnd && isWhole) ended.details.open = true;
  head(one);
  await Promise.all([timeline.load(one), strip.load(one.read)]);
  // A record that was not read yet is gone to once it has been.
  if (wanted > one.read && !one.sampled) state.target = wanted;
  // A busy computer reads even a short log in more than a moment: its end is gone to then, unless the reader has gone elsewhere.
  if (opensEnd && !isWhole && one.run.records <= SHORT_LOG) state.target = one.run.records;
  const first = wanted || (isWhole ? one.run.records : 1);
  await seek(Math.min(first, Math.max(1, one.sampled ? first : one.read)), { from: state.target || !wanted ? "start" : "address" });

  // Growing.

  let stripTimer = 0;
  const drawStripSoon = () => {
    stripTimer ||= setTimeout(() => {
      stripTimer = 0;
      if (!state.closed && !strip.range) strip.load(state.read).catch(() => {});
    }, BETWEEN_STRIPS_MS);
  };
  let busy = false;
  let again = false;
  async function grow() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      do {
        again = false;
        const now = await source.one();
        if (state.closed) return;
        state.records = now.run.records;
        head(now);
        if (now.read > state.read) {
          state.read = now.read;
          await timeline.grow(now.read, now.groups);
          drawStripSoon();
        }
        if (state.target && now.read >= state.target) {
          if (opensEnd) ended.details.open = true;
          await seek(state.target, { from: "address" });
        }
        const isBehind = now.read < now.run.records && !now.sampled;
        again ||= isBehind;
        // A fast run grows all the time: looking less often leaves its process more of the computer.
        await new Promise((after) => setTimeout(after, isBehind ? 1000 : BETWEEN_LOOKS_MS));
      } while (again && !state.closed);
    } catch (error) {
      fill(reading, `the server does not answer: ${error.message}`);
    } finally {
      busy = false;
    }
  }
  const unfollow = source.follow(() => grow());

  // Calls of this run that wait for a person.

  async function lookForCalls() {
    const { approvals } = await get("/approvals", { run: source.name });
    if (!state.closed) fill(waiting, approvals.map((call) => h("p", {}, h("b", {}, `May it call ${call.tool}?`), " ", h("a", { href: `#/approvals/${encodeURIComponent(call.approval)}` }, "Look and answer"))));
  }
  // Goals that were asked for while it was under way: those that wait, and what became of the last one.
  async function lookForGoals() {
    const { goals: asked } = await get(`/runs/${encodeURIComponent(source.name)}/goals`);
    if (state.closed) return;
    const shown = asked.filter((goal, index) => !goal.outcome || index === 0);
    fill(goals, shown.map((goal) => h("p", {}, h("b", {}, goal.text), goal.outcome ? ` ${goal.outcome}` : latest.live ? " waits for the next episode" : " waits until the run is resumed", h("span", { class: "note" }, ` asked for by ${goal.by}`))));
  }
  const look = () => Promise.all([lookForCalls(), lookForGoals()]).catch(() => {});
  const calls = source.canAct ? setInterval(look, 2000) : 0;
  if (source.canAct) look();

  return () => {
    state.closed = true;
    unfollow();
    clearInterval(calls);
    clearTimeout(stripTimer);
    document.removeEventListener("keydown", pressed);
    timeline.close();
    strip.close();
    moment.close();
  };
}
