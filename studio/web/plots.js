// Plots: how runs grew, one or several in one drawing.

import { fill, h } from "./dom.js";
import { count, counted, cut } from "./format.js";
import { lineChart } from "./chart.js";
import { ServerRun, get } from "./source.js";

const AXES = {
  steps: ["environment steps", (point) => point.steps],
  tokens: ["tokens written", (point) => point.written_tokens],
  rounds: ["rounds of writing (prompting iterations)", (point) => point.rounds],
  minutes: ["minutes", (point) => point.ran_ms / 60_000],
};

const FIGURES = [
  ["achievements", "Achievements", "distinct achievements", (point) => point.achievements],
  ["skills", "Skill library", "skills and reflexes", (point) => point.skills],
  ["tokens", "Tokens written", "tokens", (point) => point.written_tokens],
  ["speed", "Tokens per second of writing", "tokens per second", (point) => (point.writing_ms > 0 ? (point.written_tokens * 1000) / point.writing_ms : 0)],
  ["reflexes", "Steps by reflexes", "steps", (point) => point.reflex_steps],
  ["deaths", "Deaths", "deaths", (point) => point.deaths],
  ["cost", "Cost", "US dollars", (point) => point.cost_usd],
];

/** The figures of runs: `[{ run, points, achievements, tasks }]`. */
export function figures(all, axis) {
  const [label, toX] = AXES[axis] ?? AXES.steps;
  const nameOf = ({ run }) => cut(run.title || run.run, 40);
  const charts = FIGURES.map(([file, title, y, toY]) => {
    const lines = all.map((one) => ({ name: nameOf(one), points: one.points.map((point) => [toX(point), toY(point)]) }));
    const isEmpty = lines.every((line) => line.points.every(([, value]) => value === 0));
    if (isEmpty && (file === "cost" || file === "reflexes" || file === "deaths" || file === "speed")) return null;
    return lineChart({ title, x: label, y, lines, steps: file !== "speed", file: `${all.map((one) => one.run.run).join("+")}-${file}` });
  });
  return [charts, all.map((one) => [tasksOf(one, nameOf(one)), firstsOf(one, nameOf(one))])];
}

function tasksOf({ tasks }, name) {
  const entries = Object.entries(tasks ?? {});
  if (entries.length === 0) return null;
  const most = Math.max(...entries.map(([, [done, failed]]) => done + failed));
  return h("figure", { class: "chart" }, h("figcaption", {}, h("h2", {}, `Tasks: ${name}`)),
    h("table", { class: "bars" }, h("thead", {}, h("tr", {}, ["task", "done", "failed", "share"].map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, entries.map(([task, [done, failed]]) => {
        const good = h("span", { class: "bar good" });
        const bad = h("span", { class: "bar bad" });
        good.style.width = `${(done / most) * 100}%`;
        bad.style.width = `${(failed / most) * 100}%`;
        return h("tr", {}, h("th", { scope: "row" }, task), h("td", { class: "number" }, count(done)), h("td", { class: "number" }, count(failed)),
          h("td", { class: "bar-cell" }, good, bad));
      }))));
}

function firstsOf({ achievements }, name) {
  if (!achievements?.length) return null;
  return h("figure", { class: "chart" }, h("figcaption", {}, h("h2", {}, `First achievements: ${name}`)),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", {}, h("thead", {}, h("tr", {}, ["achievement", "step", "episode", "record"].map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, achievements.map((first) => h("tr", {}, h("th", { scope: "row" }, first.name), h("td", { class: "number" }, count(first.steps)),
        h("td", { class: "number" }, count(first.episode)), h("td", { class: "number" }, count(first.seq))))))));
}

/** The choice of the horizontal axis. */
export function axisChoice(axis, change) {
  const select = h("select", { id: "axis", onchange: () => change(select.value) },
    Object.entries(AXES).map(([name, [label]]) => h("option", { value: name }, label)));
  select.value = axis;
  return h("label", { class: "choice", for: "axis" }, "against ", select);
}

/** The page with the plots of the runs in the address. */
export async function plotsPage(place, { runs: chosen, go }) {
  const { runs } = await get("/runs", { limit: 1000 });
  const names = chosen.length ? chosen : runs.slice(0, 1).map((run) => run.run);
  let axis = "steps";
  const drawings = h("div", { class: "charts" });
  const all = [];
  const draw = () => fill(drawings, all.length ? figures(all, axis) : h("p", { class: "empty" }, "Choose a run."));
  const boxes = runs.slice(0, 200).map((run) => h("label", { class: "check" },
    h("input", { type: "checkbox", value: run.run, checked: names.includes(run.run), onchange: () => {
      const now = [...place.querySelectorAll(".pick input:checked")].map((box) => box.value);
      go(`#/plots?runs=${now.map(encodeURIComponent).join(",")}`);
    } }), h("span", {}, run.title || run.run), h("span", { class: "note" }, ` ${run.environment} · ${run.status}`)));
  fill(place, h("div", { class: "page plots" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Plots"), axisChoice(axis, (to) => {
    axis = to;
    draw();
  })), h("details", { class: "pick", open: runs.length <= 8 }, h("summary", {}, `Runs: ${counted(names.length, "run")} of ${runs.length}`), boxes), drawings));
  for (const name of names) all.push(await new ServerRun(name).series());
  draw();
}
