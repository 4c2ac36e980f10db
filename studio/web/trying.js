// A skill that is run in a fresh world, and watched.

import { fill, h } from "./dom.js";
import { count, counted, cut } from "./format.js";
import { get, post } from "./source.js";

const STEP_MS = 120;

/** The field of a parameter: choices where there are few, else text. */
function argumentField({ name, kind, default: usual }) {
  const words = kind?.integer ? ` (${kind.integer.min} to ${kind.integer.max})` : "";
  const known = { name: `arg:${name}`, required: usual === undefined };
  const choices = kind?.choice ?? (kind === "boolean" ? ["true", "false"] : null);
  const shown = usual === undefined || usual === null ? "" : typeof usual === "string" ? usual : JSON.stringify(usual);
  const field = choices ? h("select", { ...known, value: shown }, choices.map((choice) => h("option", { value: choice, selected: choice === shown }, choice)))
    : h("input", { ...known, value: shown, type: kind?.integer ? "number" : null, min: kind?.integer?.min, max: kind?.integer?.max });
  return h("label", { class: "field" }, `${name}${words}`, field);
}

/** The value that a person wrote for a parameter; undefined where they left it out. */
export function argumentOf({ kind, default: usual }, text) {
  if (text === "" && usual !== undefined) return undefined;
  if (kind === "text" || kind?.choice) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The card below a skill in which it is run. */
export function trySkill(skill, { manifest }) {
  const result = h("div", { class: "tried", role: "status" });
  const agents = h("select", { name: "agent" }, h("option", { value: "" }, `the built-in world ${manifest.environment}`));
  const button = h("button", { type: "submit", class: "primary" }, "Run it");
  let timer = 0;
  get("/agents").then((answer) => {
    for (const agent of answer.agents) if (agent.name !== agent.environment) agents.append(h("option", { value: agent.name }, `a practice world of ${agent.name}`));
  }).catch(() => {});
  const parameters = manifest.parameters ?? [];
  const run = async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    const form = new FormData(event.target);
    const args = {};
    for (const parameter of parameters) {
      const value = argumentOf(parameter, String(form.get(`arg:${parameter.name}`)));
      if (value !== undefined) args[parameter.name] = value;
    }
    button.disabled = true;
    fill(result, h("p", { class: "note" }, "It runs…"));
    try {
      show(await post(`/skills/${encodeURIComponent(skill)}/run`, { args, seed: Number(form.get("seed")), steps: Number(form.get("steps")), agent: form.get("agent") || undefined }));
    } catch (error) {
      fill(result, h("p", { class: "problem" }, error.message));
    }
    button.disabled = false;
  };

  function show({ result: outcome, verdict, moments, left_out: missing }) {
    const view = h("pre", { class: "view", tabindex: "0" });
    const words = h("p", { class: "note" });
    const slider = h("input", { type: "range", min: "0", max: String(moments.length - 1), step: "1", "aria-label": "Step of the skill", oninput: () => {
      stop();
      draw(Number(slider.value));
    } });
    const play = h("button", { type: "button", class: "play", "aria-label": "Play", onclick: () => (timer ? stop() : start()) }, "▶");
    const draw = (place) => {
      const moment = moments[place];
      if (!moment) return;
      slider.value = String(place);
      fill(view, moment.view);
      fill(words, moment.action ? `step ${count(moment.step)} of ${count(outcome.steps)}: ${moment.action}` : "before the first step");
      slider.setAttribute("aria-valuetext", words.textContent);
    };
    const stop = () => {
      clearTimeout(timer);
      timer = 0;
      fill(play, "▶");
      play.setAttribute("aria-label", "Play");
    };
    const tick = () => {
      const next = Number(slider.value) + 1;
      if (next >= moments.length || !view.isConnected) return stop();
      draw(next);
      timer = setTimeout(tick, STEP_MS);
      return undefined;
    };
    const start = () => {
      if (Number(slider.value) >= moments.length - 1) draw(0);
      fill(play, "❚❚");
      play.setAttribute("aria-label", "Pause");
      timer = setTimeout(tick, STEP_MS);
    };
    fill(result,
      h("p", { class: outcome.verified ? "good" : "problem" }, `${outcome.verified ? "✓" : "!"} It ${verdict}.`, outcome.error && ` Stopped by: ${outcome.error}`, outcome.ended && ` The episode is over: ${outcome.ended.cause}.`),
      outcome.unlocked.length > 0 && h("p", {}, "★ ", outcome.unlocked.map((one) => `${one.task} at step ${one.step}`).join(", ")),
      h("div", { class: "scrubber", role: "group", "aria-label": "Scrubber of the skill" }, play, h("div", { class: "slider" }, slider)), words, view,
      missing > 0 && h("p", { class: "note" }, `${counted(missing, "later step")} cannot be watched: the first ${count(moments.length - 1)} are kept.`),
      outcome.trace.length > 0 && h("details", {}, h("summary", {}, "Its calls"), h("ol", { class: "calls" }, outcome.trace.map((made) => h("li", {}, `${cut(made.call, 300)}  ${cut(made.message, 300)}`)))));
    draw(0);
    start();
  }

  return h("section", { class: "card try", "aria-label": "Run it in a fresh world" }, h("h3", {}, "Run it in a fresh world"),
    h("form", { class: "try-form", onsubmit: run }, parameters.map(argumentField),
      h("label", { class: "field" }, "World's seed", h("input", { name: "seed", type: "number", min: "0", value: "1", required: true })),
      h("label", { class: "field" }, "Steps at most", h("input", { name: "steps", type: "number", min: "1", max: "10000", value: "500", required: true })),
      h("label", { class: "field" }, "World", agents), button),
    h("p", { class: "note" }, "The world is new: what other skills would have fetched before is not there. Nothing of it enters a run or the library."), result);
}
