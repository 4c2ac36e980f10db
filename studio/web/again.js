// Trying it again: a fork before things went wrong, in which one thing is different.

import { ask, h, say } from "./dom.js";
import { count } from "./format.js";
import { get } from "./source.js";
import { agentChoice, budgetFields, forked } from "./act.js";

/** Steps that the other future gets at least, and steps beyond those until the agent died: enough to see whether it goes better. */
const STEPS = 300;
const STEPS_BEYOND = 100;

/** What may be different: `{ name, label, about, settings, prompt, goal }`. */
function variants({ fallen, remembers }, settings, tasks) {
  const [worst, ...others] = fallen ?? [];
  const value = (key) => settings.find((setting) => setting.key === key)?.value;
  const list = [{ name: "chance", label: "Let chance decide otherwise", about: "the same agent with another seed of its decisions", settings: [`run.seed=${1 + Math.floor(Math.random() * 1e9)}`] }];
  const own = value("run.instructions");
  // What was used up first is the cause, where anything was.
  const spent = others.filter((one) => one.values.at(-1) === 0 && one.reached_seq < worst.reached_seq).map((one) => one.name);
  const warning = spent.length ? `Watch ${spent.join(" and ")}: here ${spent.length > 1 ? "they" : "it"} ran out, then ${worst.name} fell from ${worst.values[worst.from]} to ${worst.values[worst.values.length - 1]}, and the agent died. Act before ${spent.length > 1 ? "they run" : "it runs"} out.`
    : worst ? `Watch ${worst.name}: here it fell from ${worst.values[worst.from]} to ${worst.values[worst.values.length - 1]}, and the agent died. Act before it falls.`
    : "Soon after this the agent died. Be careful, and look for danger first.";
  list.push({ name: "warned", label: "Warn it", about: "these words begin every request to the controller", prompt: [own, warning].filter(Boolean).join("\n") });
  if (remembers === false) list.push({ name: "memory", label: "Turn its memory on", about: "it keeps memories and recalls them before decisions", settings: ["run.memory=true"] });
  if (value("run.deliberate") === false) list.push({ name: "deliberate", label: "Let the controller choose its tasks", about: "it took the first one that was proposed", settings: ["run.deliberate=true"] });
  // A task that speaks of what ran out may have prevented it: it comes first, and is chosen.
  const gone = [...spent, worst?.name].filter(Boolean).map((name) => name.toLowerCase());
  const [thing, fit] = gone.map((name) => [name, tasks.find((task) => `${task.name} ${task.description}`.toLowerCase().split(/[^\p{L}\p{N}]+/u).includes(name))]).find(([, task]) => task) ?? [];
  if (tasks.length) list.push({ name: "task", label: "Give it another task", about: fit ? `${thing} ran low, and ${fit.name} is about it: it does that again and again` : "it does that, and what it needs for it, again and again", tasks, chosen: fit?.name });
  const first = list.find((one) => one.name === "task" && fit) ?? list.find((one) => one.name === "deliberate") ?? list[0];
  return [first, ...list.filter((one) => one !== first)];
}

/** Asks what shall be different, forks before the fall, runs the fork, and shows both futures. */
export async function tryAgain(run, fall) {
  const path = `/runs/${encodeURIComponent(run.run)}`;
  const { at } = fall.fork;
  const enough = Math.max(STEPS, Math.ceil((fall.fork.steps + STEPS_BEYOND) / 50) * 50);
  let choice;
  let list;
  let budget;
  try {
    const [agents, { settings, used }, { tasks }] = await Promise.all([agentChoice(run, "the built-in one of the run's world"), get(`${path}/settings`, { at }), get(`${path}/goals`)]);
    choice = agents;
    list = variants(fall, settings, tasks);
    budget = budgetFields((key) => settings.find((one) => one.key === key)?.value, used, { steps: enough });
  } catch (error) {
    say(error.message, true);
    return;
  }
  const prompt = h("textarea", { name: "prompt", rows: "3", "aria-label": "The words that warn it", value: list.find((one) => one.name === "warned").prompt });
  const task = h("select", { name: "task", "aria-label": "The other task" }, (list.find((one) => one.name === "task")?.tasks ?? []).map((one) => h("option", { value: one.name }, one.name)));
  task.value = list.find((one) => one.name === "task")?.chosen ?? task.value;
  const more = { warned: prompt, task };
  for (const [name, field] of Object.entries(more)) field.addEventListener("focus", () => { dialog.querySelector(`[name=variant][value=${name}]`).checked = true; });
  const dialog = ask({
    title: `Try it again from record ${count(at)}`,
    body: [h("p", {}, "A new run begins with the same records, and one thing is different from there on. This run is not changed. Both futures then stand side by side."),
      h("fieldset", { class: "variants" }, h("legend", {}, "What shall be different?"), list.map(({ name, label, about }, index) => [
        h("label", { class: "check" }, h("input", { type: "radio", name: "variant", value: name, checked: index === 0 }), h("span", {}, h("b", {}, label), h("span", { class: "note" }, ` ${about}`))), more[name] ?? null])),
      choice.field, budget.place],
    button: "Try it again",
    act: async (form, tell) => {
      const one = list.find(({ name }) => name === form.get("variant")) ?? list[0];
      await forked(run, {
        at, title: `again: ${one.label.toLowerCase()}`, settings: [...budget.settings(), ...(one.name === "task" ? [`run.tasks=${JSON.stringify([String(form.get("task"))])}`, "run.repeat_tasks=true"] : one.settings ?? [])], prompt: one.name === "warned" ? String(form.get("prompt")) : undefined,
        agent: form.get("agent") || undefined, steps: Number(form.get("steps")) || enough, minutes: Number(form.get("minutes")) || undefined,
      }, { tell });
    },
  });
}
