// What a person does to runs: start, pause, resume and fork.

import { ask, fill, h, say } from "./dom.js";
import { count } from "./format.js";
import { get, post } from "./source.js";

const lines = (form, name) => String(form.get(name) ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
const whole = (form, name) => Number(form.get(name)) || undefined;
const more = (form) => ({ steps: whole(form, "steps"), minutes: whole(form, "minutes") });
export const runLink = (run, seq = null) => `#/run/${encodeURIComponent(run)}${seq ? `?seq=${seq}` : ""}`;

function moreFields(what) {
  return h("div", { class: "pair" },
    h("label", {}, `Steps ${what}`, h("input", { name: "steps", type: "number", min: "1", placeholder: "as in the file" })),
    h("label", {}, `Minutes ${what}`, h("input", { name: "minutes", type: "number", min: "1", placeholder: "as in the file" })));
}

const settingsField = (label) => h("label", {}, label, h("textarea", { name: "settings", rows: "2", spellcheck: "false", placeholder: "run.actor.candidates=8" }));

/** The choice of an agent; one of the run's world, best with its model, is chosen. `none` is what an empty choice means. */
async function agentChoice({ environment, model }, none = null) {
  const { agents } = await get("/agents");
  const select = h("select", { name: "agent", "aria-label": "Agent" }, none && h("option", { value: "" }, none),
    agents.map((agent) => h("option", { value: agent.name }, [agent.name, agent.model].filter(Boolean).join(" · "))));
  const inWorld = agents.filter((agent) => agent.environment === environment);
  const same = inWorld.find((agent) => agent.model === model);
  select.value = (same ?? (none && inWorld.length ? null : inWorld[0] ?? agents[0]))?.name ?? "";
  return { agents, field: h("label", {}, "Agent", select), select };
}

/** Waits, two minutes at most, until a run that was started has its first record: its process opens the world before. */
async function shown(run) {
  for (let looks = 0; looks < 240; looks++) {
    try {
      await get(`/runs/${encodeURIComponent(run)}`);
      return;
    } catch (error) {
      if (error.status !== 404) throw error;
    }
    await new Promise((resolve) => { setTimeout(resolve, 500); });
  }
}

/** Asks for an agent and starts a run. */
export async function startRun() {
  let choice;
  try {
    choice = await agentChoice({});
  } catch (error) {
    say(error.message, true);
    return;
  }
  const goals = h("textarea", { name: "goals", rows: "2" });
  const hint = () => {
    const agent = choice.agents.find((one) => one.name === choice.select.value);
    goals.placeholder = agent?.goals.join("\n") || "as the agent file says";
  };
  choice.select.addEventListener("change", hint);
  hint();
  ask({
    title: "Start a run",
    body: [choice.field, h("label", {}, "Goals in words, one a line", goals), moreFields("at most"), settingsField("Changed settings, one a line"),
      h("label", {}, "Seed", h("input", { name: "seed", type: "number", min: "0", placeholder: "as in the file" })),
      h("p", { class: "note" }, "It runs in a process of its own, and goes on when the studio is closed.")],
    button: "Start",
    act: async (form) => {
      const seed = String(form.get("seed"));
      const { run } = await post("/runs", {
        agent: form.get("agent"), goals: lines(form, "goals"), settings: lines(form, "settings"), seed: seed === "" ? undefined : Number(seed), ...more(form),
      });
      await shown(run);
      say(`Run ${run} has begun.`);
      location.hash = runLink(run);
    },
  });
}

/** Asks how a run is resumed, and resumes it; `done` is called then. */
export async function resumeRun(run, done = () => {}) {
  let choice;
  try {
    choice = await agentChoice(run);
  } catch (error) {
    say(error.message, true);
    return;
  }
  ask({
    title: "Resume this run?",
    body: [h("p", {}, run.status === "finished" ? "It has used up what it was given: say how much more it may use." : "It continues from its last record."),
      choice.field, moreFields("more")],
    button: "Resume",
    act: async (form) => {
      await post(`/runs/${encodeURIComponent(run.run)}/resume`, { agent: form.get("agent"), ...more(form) });
      say("The run was resumed.");
      done();
    },
  });
}

/** Asks, and pauses a run. */
export function pauseRun(name) {
  ask({
    title: "Pause this run?", body: h("p", {}, "The step under way is finished, as after Ctrl-C. The run can be resumed."), button: "Pause",
    act: async () => {
      await post(`/runs/${encodeURIComponent(name)}/stop`);
      say("The run was asked to pause.");
    },
  });
}

/** Asks for a goal for a run under way; `done` is called once it is kept. */
export async function addGoal(run, done = () => {}) {
  let tasks = [];
  try {
    ({ tasks } = await get(`/runs/${encodeURIComponent(run.run)}/goals`));
  } catch (error) {
    say(error.message, true);
    return;
  }
  ask({
    title: "Add a goal",
    body: [h("p", {}, run.live ? "The run takes it up before its next episode." : "The run takes it up when it is resumed."),
      h("label", {}, "The goal: a task of the world, or words", h("input", { name: "goal", required: true, maxlength: "2000", list: "tasks", autocomplete: "off" })),
      h("datalist", { id: "tasks" }, tasks.map((task) => h("option", { value: task.name }, task.description))),
      h("label", {}, "When it is reached, as JSON (without it, the model says which field of the world shows it)",
        h("textarea", { name: "condition", rows: "2", spellcheck: "false", placeholder: '{"at_least": {"path": "/inventory/wood", "value": 3}}' })),
      h("p", { class: "note" }, "After a goal that is one of the world's own tasks, the run does only its goals and what they need.")],
    button: "Add it",
    act: async (form) => {
      const text = String(form.get("condition")).trim();
      let condition;
      try {
        condition = text ? JSON.parse(text) : undefined;
      } catch {
        throw new Error("the condition is no JSON");
      }
      await post(`/runs/${encodeURIComponent(run.run)}/goals`, { goal: String(form.get("goal")), condition });
      say("The run was asked for the goal.");
      await done();
    },
  });
}

/** Asks what differs in a fork after record `seq`, makes it, and shows both futures. */
export async function forkRun(run, seq) {
  let choice;
  try {
    choice = await agentChoice(run, "the built-in one of the run's world");
  } catch (error) {
    say(error.message, true);
    return;
  }
  ask({
    title: `Fork after record ${count(seq)}`,
    body: [h("p", {}, "A new run begins with the records up to this one and goes its own way. This run is not changed."),
      settingsField(["Changed settings, one a line (as in ", h("code", {}, "--set"), ")"]),
      h("label", {}, "Changed prompt: a text that begins every request to the controller", h("textarea", { name: "prompt", rows: "3", placeholder: "as it is" })),
      h("label", {}, "Title", h("input", { name: "title", maxlength: "120" })), choice.field, moreFields("more"),
      h("label", { class: "check" }, h("input", { type: "checkbox", name: "go", value: "yes", checked: true }), " run it at once")],
    button: "Fork",
    act: async (form) => {
      const text = String(form.get("prompt"));
      const { run: fork, parent } = await post(`/runs/${encodeURIComponent(run.run)}/fork`, {
        at: seq, settings: lines(form, "settings"), prompt: text === "" ? undefined : text, title: String(form.get("title")) || undefined,
        agent: form.get("agent") || undefined, ...more(form),
      });
      location.hash = `#/compare?runs=${encodeURIComponent(parent)},${encodeURIComponent(fork)}`;
      if (!form.get("go")) {
        say(`Run ${fork} is a fork of this one. It is paused.`);
        return;
      }
      try {
        await post(`/runs/${encodeURIComponent(fork)}/resume`, { agent: form.get("agent") || run.environment });
        say(`Run ${fork} is a fork of this one, and has begun to go its own way.`);
      } catch (error) {
        say(`Run ${fork} is a fork of this one, but it is paused: ${error.message}`, true);
      }
    },
  });
}

/** The buttons of a run: pause while it is live, else resume. `update(run)` shows the fitting one. */
export function runButtons(done) {
  const place = h("span", { class: "buttons" });
  let shown = "";
  const update = (run) => {
    const now = `${run.live} ${run.status}`;
    if (now === shown) return;
    shown = now;
    fill(place, run.live
      ? h("button", { type: "button", onclick: () => pauseRun(run.run) }, "Pause…")
      : h("button", { type: "button", onclick: () => resumeRun(run, done) }, "Resume…"));
  };
  return { place, update };
}
