// What a person does to runs: start, pause, resume and fork.

import { ask, fill, h, say } from "./dom.js";
import { count, span } from "./format.js";
import { get, post } from "./source.js";
import { settingsList } from "./settings.js";

const lines = (form, name) => String(form.get(name) ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
const whole = (form, name) => Number(form.get(name)) || undefined;
const more = (form) => ({ steps: whole(form, "steps"), minutes: whole(form, "minutes") });
export const runLink = (run, seq = null) => `#/run/${encodeURIComponent(run)}${seq ? `?seq=${seq}` : ""}`;

/** What a run is offered where it has less than `least` left, so that it does not end at once. */
const OFFERED = { steps: { least: 50, more: 300 }, minutes: { least: 2, more: 10 } };

function atMostFields() {
  const field = (name, label) => h("label", {}, label, h("input", { name, type: "number", min: "1", placeholder: "as its agent file says" }));
  return h("div", { class: "pair" }, field("steps", "Steps at most"), field("minutes", "Minutes at most"));
}

/**
 * How much more a run may use: `{ place, settings() }`. `find(key)` is the value of a setting, and `used` what was used until there. A
 * budget that is used up is raised, and the fields say so. `steps` stands in the field for steps.
 */
export function budgetFields(find, used, { steps = null } = {}) {
  const limits = { steps: find("run.budgets.steps"), minutes: find("run.budgets.time_ms") / 60_000 || null };
  const spent = { steps: used?.steps, minutes: used ? used.time_ms / 60_000 : undefined };
  const raised = [];
  const field = (name, label, given) => {
    const [limit, { least, more }] = [limits[name] ?? null, OFFERED[name]];
    const left = limit === null || spent[name] === undefined ? null : Math.max(0, Math.floor(limit - spent[name]));
    const isUp = left !== null && left < least;
    if (isUp) raised.push(name === "steps" ? "steps" : "time");
    const hint = limit === null ? "no limit" : left === null ? "what is left" : `the ${count(left)} that are left`;
    return h("label", {}, label, h("input", { name, type: "number", min: "1", placeholder: hint, value: given ?? (isUp ? String(more) : null) }));
  };
  const fields = h("div", { class: "pair" }, field("steps", "Steps more", steps && String(steps)), field("minutes", "Minutes more"));
  // Of these there is no field: as much again.
  const settings = [["tokens", "tokens", used?.tokens], ["cost", "money", used?.cost_usd]].flatMap(([key, word, sum]) => {
    const limit = find(`run.budgets.${key}`);
    if (!limit || !(sum >= limit)) return [];
    raised.push(word);
    return [`run.budgets.${key}=${sum + limit}`];
  });
  const note = raised.length > 0 && h("p", { class: "note" }, `Its budget of ${raised.join(" and ")} is as good as used up there: this much more is offered${settings.length ? ", of what has no field here as much again" : ""}.`);
  return { place: [fields, note], settings: () => settings };
}

/** The choice of an agent: of a run, those of its world, best with its model. `none` is what an empty choice means. */
export async function agentChoice({ environment, model }, none = null) {
  const all = (await get("/agents")).agents;
  // A world without a name may be any.
  const agents = environment ? all.filter((agent) => agent.environment === environment || !agent.environment) : all;
  if (agents.length === 0 && !none) throw new Error(`no agent of the world ${environment} is offered: start the studio in the directory of its agent file, or with --agent AGENT.TOML`);
  const select = h("select", { name: "agent", "aria-label": "Agent" }, none && h("option", { value: "" }, none),
    agents.map((agent) => h("option", { value: agent.name }, [agent.name, agent.model].filter(Boolean).join(" · "))));
  const inWorld = agents.filter((agent) => agent.environment === environment);
  const same = inWorld.find((agent) => agent.model === model);
  select.value = (same ?? (none && inWorld.length ? null : inWorld[0] ?? agents[0]))?.name ?? "";
  return { agents, field: h("label", {}, "Agent", select), select };
}

const runPath = (run) => `/runs/${encodeURIComponent(run)}`;

/** Tells what the process of a run does until `begun()` says that it has begun, five minutes at most. */
async function untilBegun(run, tell, begun, isNew) {
  const since = Date.now();
  while (Date.now() - since < 300_000) {
    if (await begun()) return;
    const { doing, error } = await get(`${runPath(run)}/starting`).catch(() => ({}));
    // The messages of a run that is resumed may tell of an earlier process.
    if (error && isNew) throw new Error(`the run did not begin: ${error}`);
    tell(`${doing ? `Its process is ${doing}` : "Its process starts"} … ${span((Date.now() - since) / 1000)}`);
    await new Promise((after) => { setTimeout(after, 300); });
  }
}

/** Resumes a run, and tells what its process does until it writes. */
async function resumed(run, body, tell) {
  const before = (await get(runPath(run))).run.records;
  const posted = post(`${runPath(run)}/resume`, body);
  let over = false;
  const begun = untilBegun(run, tell, async () => {
    const { run: now } = await get(runPath(run));
    return over || now.live || now.records > before;
  }, false);
  try {
    // A refusal comes at once; what comes first otherwise is enough.
    await Promise.race([posted, begun]);
  } finally {
    over = true;
    posted.catch(() => {});
    begun.catch(() => {});
  }
}

/** Makes a fork, shows both futures, and runs it. Returns the fork. */
export async function forked(run, body, { go = true, tell }) {
  tell(`Copying ${count(body.at)} records …`);
  const { run: fork, parent } = await post(`${runPath(run.run)}/fork`, body);
  location.hash = `#/compare?runs=${encodeURIComponent(parent)},${encodeURIComponent(fork)}`;
  if (!go) {
    say(`Run ${fork} is a fork of this one. It is paused.`);
    return fork;
  }
  // Both futures are in sight meanwhile, and the page tells how far the process is.
  say(`Run ${fork} is a fork of this one. Its process starts.`);
  post(`${runPath(fork)}/resume`, { agent: body.agent || run.environment }).catch((error) => say(`Run ${fork} is a fork of this one, but it is paused: ${error.message}`, true));
  return fork;
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
  // The settings are those of the agent that is chosen.
  const settings = h("div", {});
  let offered = null;
  const offer = async () => {
    const agent = choice.select.value;
    try {
      const list = await settingsList("/settings", { agent });
      if (agent === choice.select.value) fill(settings, (offered = list).place);
    } catch (error) {
      offered = null;
      fill(settings, h("p", { class: "problem" }, error.message));
    }
  };
  choice.select.addEventListener("change", () => {
    hint();
    offer();
  });
  hint();
  offer();
  ask({
    title: "Start a run",
    body: [choice.field, h("label", {}, "Goals in words, one a line", goals), atMostFields(), settings,
      h("label", {}, "Seed", h("input", { name: "seed", type: "number", min: "0", placeholder: "as in the file" })),
      h("p", { class: "note" }, "It runs in a process of its own, and goes on when the studio is closed.")],
    button: "Start",
    act: async (form, tell) => {
      const seed = String(form.get("seed"));
      tell("Starting its process …");
      const { run } = await post("/runs", {
        agent: form.get("agent"), goals: lines(form, "goals"), settings: offered?.changed() ?? [], seed: seed === "" ? undefined : Number(seed), ...more(form),
      });
      await untilBegun(run, tell, () => get(runPath(run)).then(() => true, (error) => {
        if (error.status !== 404) throw error;
        return false;
      }), true);
      say(`Run ${run} has begun.`);
      location.hash = runLink(run);
    },
  });
}

/** Asks how a run is resumed, and resumes it; `done` is called then. */
export async function resumeRun(run, done = () => {}) {
  let choice;
  let budget;
  try {
    const [agents, { settings, used }] = await Promise.all([agentChoice(run), get(`${runPath(run.run)}/settings`)]);
    choice = agents;
    budget = budgetFields((key) => settings.find((one) => one.key === key)?.value, used);
  } catch (error) {
    say(error.message, true);
    return;
  }
  ask({
    title: "Resume this run?",
    body: [h("p", {}, run.status === "finished" ? "It has ended: say how much more it may use." : "It continues from its last record."),
      choice.field, budget.place],
    button: "Resume",
    act: async (form, tell) => {
      await resumed(run.run, { agent: form.get("agent"), ...more(form) }, tell);
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
  let settings;
  try {
    [choice, settings] = await Promise.all([agentChoice(run, "the built-in one of the run's world"), settingsList(`${runPath(run.run)}/settings`, { at: seq })]);
  } catch (error) {
    say(error.message, true);
    return;
  }
  const budget = budgetFields(settings.find, settings.used);
  ask({
    title: `Fork after record ${count(seq)}`,
    body: [h("p", {}, "A new run begins with the records up to this one and goes its own way. This run is not changed."),
      settings.place,
      h("label", {}, "Changed prompt: a text that begins every request to the controller", h("textarea", { name: "prompt", rows: "3", placeholder: settings.find("run.instructions") ?? "as it is" })),
      h("label", {}, "Title", h("input", { name: "title", maxlength: "120" })), choice.field, budget.place,
      h("label", { class: "check" }, h("input", { type: "checkbox", name: "go", value: "yes", checked: true }), " run it at once")],
    button: "Fork",
    act: async (form, tell) => {
      const text = String(form.get("prompt"));
      await forked(run, {
        at: seq, settings: [...budget.settings(), ...settings.changed()], prompt: text === "" ? undefined : text, title: String(form.get("title")) || undefined,
        agent: form.get("agent") || undefined, ...more(form),
      }, { go: Boolean(form.get("go")), tell });
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
