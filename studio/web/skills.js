// The skill library: what there is, and what earned each skill its place.

import { ask, fill, h, say } from "./dom.js";
import { count, counted, date } from "./format.js";
import { get, post, query } from "./source.js";
import { tree, worlds } from "./moment.js";
import { lineChart } from "./chart.js";
import { callGraph, connected } from "./graph.js";
import { runLink } from "./act.js";
import { trySkill } from "./trying.js";

/** The orders of the list. */
const ORDERS = {
  name: ["by name", (one, other) => one.name.localeCompare(other.name)],
  use: ["most used first", (one, other) => other.uses - one.uses],
  failing: ["failing first, the longest first", (one, other) => (one.failing?.since_ms ?? Infinity) - (other.failing?.since_ms ?? Infinity) || one.name.localeCompare(other.name)],
};

/** The page of the library, with one skill beside it. */
export async function skillsPage(place, { name, go, text = "", status: wanted = "" }) {
  const [{ skills }, calls] = await Promise.all([get("/skills", { limit: 2000 }), get("/skill-calls")]);
  const detail = h("section", { class: "right", "aria-label": "Skill" });
  const list = h("tbody", {});
  const state = { text: text.toLowerCase(), status: wanted };
  const search = h("input", { type: "search", "aria-label": "Filter the skills", placeholder: "Filter", value: text, oninput: () => {
    state.text = search.value.toLowerCase();
    draw();
  } });
  const status = h("select", { "aria-label": "Status", onchange: () => {
    state.status = status.value;
    draw();
  } }, ["", "failing", "admitted", "trial", "draft", "retired", "stale"].map((word) => h("option", { value: word }, word || "any status")));

  const order = h("select", { "aria-label": "Order", onchange: () => draw() }, Object.entries(ORDERS).map(([key, [label]]) => h("option", { value: key }, label)));

  function draw() {
    const matches = [...skills].sort(ORDERS[order.value][1]).filter((skill) => (!state.status || (state.status === "failing" ? skill.failing : skill.status.includes(state.status)))
      && (!state.text || `${skill.name} ${skill.description} ${skill.environment}`.toLowerCase().includes(state.text)));
    fill(list, matches.map((skill) => {
      const link = `#/skills/${encodeURIComponent(skill.name)}${query({ q: state.text, status: state.status })}`;
      return h("tr", { class: skill.name === name ? "chosen" : null, onclick: (event) => { if (!event.target.closest("a")) go(link); } },
        h("td", {}, h("a", { href: link, "aria-current": skill.name === name ? "true" : null }, skill.name), skill.alias && h("span", { class: "note" }, `alias of ${skill.alias}`),
          h("span", { class: "note clip" }, skill.description)),
        h("td", {}, statusOf(skill.status), skill.reflex && h("span", { class: "tag reflex" }, "reflex"), skill.untrusted && h("span", { class: "tag failure" }, "from outside"), failingSince(skill.failing)),
        h("td", { class: "number" }, `${skill.version} of ${skill.versions}`), h("td", { class: "number" }, skill.uses ? `${skill.successes} of ${skill.uses}` : "–"),
        h("td", { class: "number" }, skill.trial ? `${skill.trial[0]} of ${skill.trial[1]}` : "–"));
    }));
  }

  fill(place, h("div", { class: name ? "page skills has-one" : "page skills" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Skills"), h("div", { class: "filters" }, search, status, order, h("span", { class: "note" }, counted(skills.length, "skill")))),
    skills.length === 0 ? h("p", { class: "empty" }, "This home's library has no skills yet. Runs put the skills here that they learn.")
      : h("div", { class: "panes" }, h("section", { class: "left scroll", "aria-label": "Library" }, h("table", { class: "list" },
        h("thead", {}, h("tr", {}, [["skill"], ["status"], ["version", true], ["succeeded", true], ["trial", true]].map(([head, isNumber]) => h("th", { scope: "col", class: isNumber ? "number" : null }, head)))), list)), detail)));
  status.value = state.status;
  draw();
  list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
  if (name) await drawSkill(detail, name, calls, go);
  else if (skills.length) fill(detail, failingNow(skills), h("section", { class: "card", "aria-label": "Calls" }, h("h2", {}, "Who calls whom"), callGraph(calls)));
}

/** The skills that fail now, those that failed most often first. */
function failingNow(skills) {
  const failing = skills.filter((skill) => skill.failing).sort((one, other) => other.failing.failures - one.failing.failures);
  return h("section", { class: "card failing", "aria-label": "Failing now" }, h("h2", {}, "Which skill fails, and since when?"),
    failing.length === 0 ? h("p", {}, "✓ None: the latest use of every skill succeeded.")
      : h("ul", { class: "history" }, failing.slice(0, 50).map(({ name, failing: one }) => h("li", {},
        h("a", { href: `#/skills/${encodeURIComponent(name)}` }, name), " ", failingSince(one), h("span", { class: "note" }, ` version ${one.version}: ${one.reason}`), whereOf(one.origin)))));
}

/** Since when a skill fails, where its latest uses did. */
function failingSince(failing) {
  if (!failing) return null;
  const words = `! ${counted(failing.failures, "failure")} since ${date(failing.since_ms)}`;
  const [run, seq] = (failing.origin ?? "").split("/");
  if (!/^\d+$/.test(seq ?? "") || run === "user") return h("span", { class: "tag failure" }, words);
  return h("a", { class: "tag failure", href: runLink(run, seq), title: `version ${failing.version}: the first of these failures` }, words);
}

/** The run and record of a use, as a link in words. */
function whereOf(origin) {
  const [run, seq] = (origin ?? "").split("/");
  if (!/^\d+$/.test(seq ?? "") || run === "user") return null;
  return h("span", { class: "note" }, ", in ", h("a", { href: runLink(run, seq) }, `run ${run}, record ${count(Number(seq))}`));
}

/** How often a skill succeeded in each context, over its uses, and since when it fails there. */
function usesOf({ name, uses, used }) {
  if (!uses.length) return null;
  const contexts = new Map();
  uses.forEach((use, index) => {
    const one = contexts.get(use.context) ?? { name: use.context, points: [], lately: [], done: 0, all: 0, failing: null, last: null };
    contexts.set(use.context, one);
    one.lately = [...one.lately, use.success].slice(-10);
    one.points.push([used - uses.length + index + 1, (one.lately.filter(Boolean).length / one.lately.length) * 100]);
    one.all += 1;
    one.done += use.success ? 1 : 0;
    if (use.success) [one.last, one.failing] = [use, null];
    else one.failing ??= { failures: 0, since_ms: use.at_ms, origin: use.origin, version: use.version, reason: use.reason };
    if (one.failing) one.failing.failures += 1;
  });
  const list = [...contexts.values()];
  return [h("h3", {}, "Success by context"),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", { class: "worlds" }, h("thead", {}, h("tr", {}, ["context", "succeeded", "last success", "now"].map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, list.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, `${one.done} of ${one.all}`),
        h("td", {}, one.last ? [date(one.last.at_ms), originOf(one.last.origin ?? "")] : "never"), h("td", {}, one.failing ? [failingSince(one.failing), h("span", { class: "note" }, ` ${one.failing.reason}`), whereOf(one.failing.origin)] : "✓ succeeds")))))),
    used > 1 && lineChart({ title: "Success over its uses", x: "use", y: "percent of the last 10 in that context", lines: list, file: `${name}-success` })];
}

const statusOf = (status) => h("span", { class: `status s-${status.split(",")[0]}` }, status);

async function drawSkill(place, name, calls, go) {
  let skill;
  try {
    skill = await get(`/skills/${encodeURIComponent(name)}`);
  } catch (error) {
    fill(place, h("p", { class: "problem" }, error.message));
    return;
  }
  const { versions } = skill;
  let shown = Math.max(0, versions.findLastIndex((version) => version.active));
  let other = null;
  const body = h("div", {});
  const pick = h("select", { id: "version", onchange: () => {
    shown = Number(pick.value);
    draw();
  } }, versions.map((version, index) => h("option", { value: String(index) }, `${version.manifest.version}: ${version.standing}${version.active ? ", in use" : ""}`)));
  pick.value = String(shown);
  const against = h("select", { id: "against", onchange: () => {
    other = against.value === "" ? null : Number(against.value);
    draw();
  } }, h("option", { value: "" }, "nothing"), versions.map((version, index) => h("option", { value: String(index) }, `version ${version.manifest.version}`)));

  const sumOf = (what) => versions.reduce((sum, version) => sum + version.usage[what], 0);
  const links = (names) => names.map((one, index) => [index > 0 && ", ", h("a", { href: `#/skills/${encodeURIComponent(one)}` }, one)]);

  function draw() {
    const version = versions[shown];
    const { manifest, usage } = version;
    const rows = [
      ["author", authorOf(version)], ["written", date(manifest.created_ms)], ["world", manifest.environment],
      ["calls", version.calls_skills.length || manifest.calls?.length ? [links(version.calls_skills), version.calls_skills.length && manifest.calls?.length ? "; " : "", (manifest.calls ?? []).filter((one) => !version.calls_skills.includes(one)).join(", ")] : "nothing"],
      ["called by", version.called_by.length ? links(version.called_by) : "no skill"],
      ["used, this version", `${counted(usage.successes + usage.failures, "time")}, ${count(usage.successes)} succeeded, ${counted(usage.deaths, "death")}, ${counted(usage.steps, "step")}`],
      versions.length > 1 && ["used, all versions", `${counted(sumOf("successes") + sumOf("failures"), "time")}, ${count(sumOf("successes"))} succeeded`],
      usage.last_error && usage.failures > 0 && ["last error", usage.last_error], version.stale && ["stale", `${version.stale}, which it calls, is not the version it was tested with`],
      skill.aliases.length > 0 && ["also called", skill.aliases.join(", ")], ["id", h("code", { class: "hash" }, manifest.id)],
    ].filter(Boolean);
    fill(body,
      h("p", { class: "signature" }, h("code", {}, version.signature)), h("p", {}, manifest.description),
      h("dl", { class: "facts" }, rows.map(([head, value]) => h("div", {}, h("dt", {}, head), h("dd", {}, value)))),
      usesOf(skill),
      h("h3", {}, other === null || other === shown ? "Source" : `Source: version ${versions[other].manifest.version} → ${manifest.version}`),
      other === null || other === shown ? source(version.source) : difference(versions[other].source, version.source),
      version.trial && [h("h3", {}, "The trial that earned its place"), worlds(version.trial.worlds)],
      version.reflex_trial && [h("h3", {}, "Episodes with it and without it"), pairs(version.reflex_trial.episodes)],
      version.cases.length > 0 && h("details", {}, h("summary", {}, `${counted(version.cases.length, "case")} that it must keep passing: `, h("code", {}, `sojourn skills test ${skill.name}`)), tree(version.cases)),
      (manifest.precondition || manifest.postcondition) && h("details", {}, h("summary", {}, "Conditions"), tree({ before: manifest.precondition ?? null, after: manifest.postcondition ?? null })),
      h("div", { class: "buttons" },
        version.status !== "retired" && h("button", { type: "button", onclick: () => retire(version) }, "Retire…"),
        version.status === "admitted" && !version.active && h("button", { type: "button", onclick: () => rollBack(version) }, "Roll back to it…")));
  }

  function retire(version) {
    ask({
      title: `Retire version ${version.manifest.version} of ${skill.name}?`, danger: true,
      body: [h("p", {}, "It is not used any more, and kept for its history. ", h("code", {}, "sojourn skills unretire"), " puts it on trial again."),
        h("label", {}, "Why", h("input", { name: "reason", required: true, maxlength: "200" }))],
      button: "Retire",
      act: async (form) => {
        await post(`/skills/${encodeURIComponent(skill.name)}/retire`, { version: version.manifest.version, reason: String(form.get("reason")) });
        say(`Version ${version.manifest.version} of ${skill.name} is retired.`);
        go(location.hash, true);
      },
    });
  }

  function rollBack(version) {
    ask({
      title: `Use version ${version.manifest.version} of ${skill.name} again?`,
      body: h("p", {}, "Later admitted versions go back on trial."), button: "Roll back",
      act: async () => {
        await post(`/skills/${encodeURIComponent(skill.name)}/rollback`, { to: version.manifest.version });
        say(`Version ${version.manifest.version} of ${skill.name} is in use again.`);
        go(location.hash, true);
      },
    });
  }

  const inUse = versions.find((version) => version.active);
  const near = connected(calls, skill.name);
  draw();
  fill(place, h("header", { class: "moment-head" }, h("h2", { tabindex: "-1" }, skill.name),
    h("div", { class: "filters" }, h("label", { class: "choice", for: "version" }, "version ", pick), versions.length > 1 && h("label", { class: "choice", for: "against" }, "compared with ", against))),
  h("div", { class: "card" }, body), inUse && !inUse.reflex_trial && trySkill(skill.name, inUse), near.edges.length > 0 && h("section", { class: "card", "aria-label": "Calls" }, h("h3", {}, "Who calls whom"), callGraph(near, skill.name)),
  h("section", { class: "card", "aria-label": "History" }, h("h3", {}, "History"),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", { class: "worlds versions" }, h("thead", {}, h("tr", {}, ["version", "status", "written by", "written", "succeeded"].map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, versions.map((version) => h("tr", {}, h("th", { scope: "row" }, version.manifest.version), h("td", {}, `${version.standing}${version.active ? ", in use" : ""}`), h("td", {}, authorOf(version)), h("td", {}, date(version.manifest.created_ms)),
        h("td", {}, `${version.usage.successes} of ${version.usage.successes + version.usage.failures}`)))))), h("ol", { class: "history" }, skill.history.map((line) =>
    h("li", {}, h("span", { class: "note" }, date(line.at_ms)), line.version ? ` version ${line.version}: ` : " ", line.event, line.origin && originOf(line.origin))))));
}

/** The author, as a link to the request that the skill was written in answer to. */
function authorOf({ author, manifest }) {
  const place = manifest.origin?.model ?? manifest.origin?.exploration;
  return place?.run ? h("a", { href: `#/run/${encodeURIComponent(place.run)}?seq=${place.seq}` }, author) : author;
}

/** A run and record as a link. */
function originOf(origin) {
  const [run, seq] = origin.split("/");
  if (!/^\d+$/.test(seq ?? "") || run === "user") return h("span", { class: "note" }, ` ${origin}`);
  return h("a", { class: "note", href: `#/run/${encodeURIComponent(run)}?seq=${seq}` }, ` ${origin}`);
}

const KEYWORDS = new Set(["async", "await", "break", "const", "continue", "else", "false", "for", "function", "if", "in", "let", "new", "null", "of", "return", "throw", "true", "try", "catch", "undefined", "while"]);

/** JavaScript with its words told apart. */
export function source(text) {
  const pieces = text.match(/\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|[A-Za-z_$][\w$]*|\d[\w.]*|\s+|[^\sA-Za-z_$\d]/g) ?? [];
  return h("pre", { class: "source", tabindex: "0" }, pieces.slice(0, 20_000).map((piece) => {
    const kind = /^\/[/*]/.test(piece) ? "comment" : /^["'`]/.test(piece) ? "text" : /^\d/.test(piece) ? "number" : KEYWORDS.has(piece) ? "word" : null;
    return kind ? h("span", { class: `js-${kind}` }, piece) : piece;
  }));
}

/** The lines that differ, by the longest common subsequence. */
export function difference(before, after) {
  const [left, right] = [before.split("\n").slice(0, 800), after.split("\n").slice(0, 800)];
  const table = Array.from({ length: left.length + 1 }, () => new Uint16Array(right.length + 1));
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      table[i][j] = left[i] === right[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  const lines = [];
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      lines.push(["same", "  ", left[i]]);
      i += 1;
      j += 1;
    } else if (j >= right.length || (i < left.length && table[i + 1][j] >= table[i][j + 1])) {
      lines.push(["gone", "- ", left[i]]);
      i += 1;
    } else {
      lines.push(["fresh", "+ ", right[j]]);
      j += 1;
    }
  }
  return h("pre", { class: "source", tabindex: "0" }, lines.map(([kind, sign, line]) => h("span", { class: `diff ${kind}` }, `${sign}${line}\n`)));
}

function pairs(episodes) {
  return h("table", { class: "worlds" }, h("thead", {}, h("tr", {}, ["world", "steps with", "steps without", "died with", "died without"].map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, episodes.map((one) => h("tr", {}, h("td", {}, h("code", {}, one.seed)), h("td", { class: "number" }, one.with.steps), h("td", { class: "number" }, one.without.steps),
      h("td", {}, one.with.died ? "yes" : "no"), h("td", {}, one.without.died ? "yes" : "no")))));
}
