// The list of runs.

import { fill, h, isTyping } from "./dom.js";
import { count, counted, date, span } from "./format.js";
import { get } from "./source.js";
import { spark } from "./chart.js";
import { startRun } from "./act.js";
import { help } from "./keys.js";

const COLUMNS = [
  ["run", "Run", (run) => run.title || run.run], ["status", "Status", (run) => run.status], ["environment", "World", (run) => run.environment],
  ["model", "Model", (run) => run.model], ["progress", "Steps", (run, sum) => sum?.came.steps ?? -1],
  ["achievements", "Achievements", (run, sum) => sum?.came.achievements.length ?? -1], ["skills", "Skills", (run, sum) => sum?.came.skills.length ?? -1],
  ["deaths", "Deaths", (run, sum) => sum?.came.deaths ?? -1],
  ["tokens", "Tokens", (run, sum) => sum?.came.tokens[1] ?? -1], ["time", "Ran", (run, sum) => sum?.seconds ?? -1],
  ["created", "Started", (run) => run.created_ms],
];
const NUMBERS = new Set(["progress", "achievements", "skills", "deaths", "tokens", "time", "created"]);

/** The page with all runs. Returns what ends it. */
export async function runsPage(place, { go }) {
  let { total, runs } = await get("/runs", { limit: 1000 });
  const summaries = new Map();
  const state = { text: "", status: "", by: "created", down: true, closed: false };
  const body = h("tbody", {});
  const heads = new Map();
  const note = h("p", { class: "note", role: "status" });
  const hint = h("p", { class: "note", role: "status" });
  const compare = h("button", { type: "button", hidden: true, onclick: () => go(`#/plots?runs=${chosen().map(encodeURIComponent).join(",")}`) }, "Compare");
  const beside = h("button", { type: "button", hidden: true, onclick: () => go(`#/compare?runs=${chosen().map(encodeURIComponent).join(",")}`) }, "Side by side");
  const search = h("input", { type: "search", "aria-label": "Filter the runs", placeholder: "Filter  /", oninput: () => {
    state.text = search.value.toLowerCase();
    draw();
  } });
  const status = h("select", { "aria-label": "Status", onchange: () => {
    state.status = status.value;
    draw();
  } }, ["", "running", "paused", "finished", "failed", "cut off"].map((name) => h("option", { value: name }, name || "any status")));
  const chosen = () => [...body.querySelectorAll("input:checked")].map((box) => box.value);

  const head = h("tr", {}, h("th", { scope: "col", class: "narrow" }, "Compare"), COLUMNS.map(([name, label]) => {
    const cell = h("th", { scope: "col", class: NUMBERS.has(name) ? "number" : null }, h("button", { type: "button", class: "sort", onclick: () => {
      state.down = state.by === name ? !state.down : NUMBERS.has(name);
      state.by = name;
      draw();
    } }, label));
    heads.set(name, cell);
    return cell;
  }));

  function shown() {
    const value = COLUMNS.find(([name]) => name === state.by)[2];
    const matches = runs.filter((run) => (!state.status || run.status === state.status)
      && (!state.text || [run.run, run.title, run.environment, run.model, run.status].join(" ").toLowerCase().includes(state.text)));
    const sign = state.down ? -1 : 1;
    return matches.sort((one, other) => {
      const [left, right] = [value(one, summaries.get(one.run)), value(other, summaries.get(other.run))];
      return sign * (typeof left === "number" ? left - right : String(left).localeCompare(String(right)));
    });
  }

  function row(run) {
    const sum = summaries.get(run.run);
    const came = sum?.came;
    const of = sum?.budgets?.steps;
    const link = `#/run/${encodeURIComponent(run.run)}`;
    const progress = came && h("span", {}, count(came.steps), of ? h("span", { class: "note" }, ` of ${count(of)}`) : null);
    const bar = came && of ? h("span", { class: "progress", role: "img", "aria-label": `${Math.round((came.steps / of) * 100)} % of the steps` }, h("span", {})) : null;
    if (bar) bar.firstChild.style.width = `${Math.min(100, (came.steps / of) * 100)}%`;
    return h("tr", { onclick: (event) => { if (!event.target.closest("a, input, label")) go(link); } },
      h("td", { class: "narrow" }, h("input", { type: "checkbox", value: run.run, "aria-label": `Compare ${run.run}`, title: "Compare it with other runs", onchange: () => {
        const picked = chosen().length;
        compare.hidden = picked < 2;
        beside.hidden = picked !== 2;
        fill(compare, `Plot ${picked} runs`);
        fill(hint, picked === 1 ? "Tick another run to compare it with." : "");
      } })),
      h("td", { class: "run-cell" }, h("a", { href: link }, run.title || run.run), run.title && h("span", { class: "note" }, run.run),
        run.parent && h("span", { class: "note" }, `fork of ${run.parent[0]}`), sum?.failure && h("span", { class: "problem" }, sum.failure)),
      h("td", { "data-head": "Status" }, h("span", { class: `status s-${run.live ? "running" : run.status.replace(" ", "-")}` }, run.live && h("span", { class: "dot live" }), run.live ? "running" : run.status)),
      h("td", { "data-head": "World" }, run.environment), h("td", { class: "model", "data-head": "Model" }, run.model),
      h("td", { class: "number", "data-head": "Steps" }, progress, bar),
      h("td", { class: "number spark-cell", "data-head": "Achievements" }, came && spark(came.curve.map((point) => [point.steps, point.achievements]), `${counted(came.achievements.length, "achievement")} in ${counted(came.steps, "step")}`), h("b", {}, came ? count(came.achievements.length) : "")),
      h("td", { class: "number", "data-head": "Skills" }, came ? count(came.skills.length) : ""),
      h("td", { class: "number", "data-head": "Deaths" }, came && (came.deaths > 0 ? h("span", { class: "died" }, h("span", { "aria-hidden": "true" }, "✖ "), count(came.deaths)) : "0")),
      h("td", { class: "number", "data-head": "Tokens" }, came ? count(came.tokens[1]) : ""),
      h("td", { class: "number", "data-head": "Ran" }, sum ? span(sum.seconds) : ""), h("td", { class: "number", "data-head": "Started" }, date(run.created_ms)));
  }

  function draw() {
    const picked = new Set(chosen());
    const list = shown();
    fill(body, list.slice(0, 500).map(row));
    for (const box of body.querySelectorAll("input")) box.checked = picked.has(box.value);
    for (const [name, cell] of heads) {
      if (name === state.by) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    fill(note, list.length === runs.length ? counted(total, "run") : `${list.length} of ${counted(total, "run")}`, list.length > 500 ? ": the first 500 are shown" : "");
  }

  fill(place, h("div", { class: "page runs" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Runs"),
    h("div", { class: "filters" }, search, status, hint, compare, beside, note, h("button", { type: "button", class: "small", onclick: () => help("They work on the page of a run; here, / goes to the filter.") }, "Keys ", h("kbd", {}, "?")), h("button", { type: "button", class: "primary", onclick: startRun }, "Start a run…"))),
  runs.length === 0
    ? h("p", { class: "empty" }, "There are no runs here yet. ", h("code", {}, "sojourn run crafter"), " starts one, and so does the button above.")
    : h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", { class: "list runs-list" }, h("thead", {}, head), body))));
  draw();

  async function learn() {
    if (state.learning) return;
    state.learning = true;
    for (const run of runs.slice(0, 200)) {
      if (state.closed) return;
      const known = summaries.get(run.run);
      if (known && known.run.records === run.records) continue;
      try {
        summaries.set(run.run, await get(`/runs/${encodeURIComponent(run.run)}/summary`));
      } catch (error) {
        summaries.set(run.run, { run, failure: error.message, came: { steps: 0, deaths: 0, achievements: [], skills: [], tokens: [0, 0], curve: [] }, seconds: 0 });
      }
      drawSoon();
    }
    state.learning = false;
  }
  let soon = 0;
  const drawSoon = () => {
    soon ||= requestAnimationFrame(() => {
      soon = 0;
      if (!state.closed && !body.contains(document.activeElement)) draw();
      else if (!state.closed) setTimeout(drawSoon, 1000);
    });
  };
  const refresh = async () => {
    try {
      ({ total, runs } = await get("/runs", { limit: 1000 }));
      drawSoon();
      await learn();
    } catch {
      // The next look may succeed.
    }
  };
  learn();
  const timer = setInterval(refresh, 3000);
  const pressed = (event) => {
    if (event.key === "/" && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    }
    if (event.key === "?" && !isTyping(event) && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      help("They work on the page of a run; here, / goes to the filter.");
    }
  };
  document.addEventListener("keydown", pressed);
  return () => {
    state.closed = true;
    clearInterval(timer);
    document.removeEventListener("keydown", pressed);
  };
}
