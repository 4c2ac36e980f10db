// The settings of a run in a list: what each is now, what it does, and what it shall be.

import { fill, h } from "./dom.js";
import { counted, cut } from "./format.js";
import { get } from "./source.js";

const isWhole = (text) => /^\d[\d_]*$/.test(text);
const isNumber = (text) => text !== "" && Number.isFinite(Number(text.replaceAll("_", "")));

/** Why a text cannot be the value of a setting; null where nothing speaks against it. What is left, the server says. */
function wrong({ key, kind, choices = [] }, text) {
  if (choices.length && !choices.includes(text)) return `${key} is one of ${choices.join(", ")}, not "${text}"`;
  if (kind === "a whole number" && !isWhole(text)) return `${key} is a whole number, not "${text}"`;
  if (kind === "a number" && !isNumber(text)) return `${key} is a number, not "${text}"`;
  return null;
}

/** The assignment of a setting, as `--set` takes it: texts in quotation marks. */
function assigned({ key, kind }, text) {
  return `${key}=${kind === "text" || kind === "a value" && !/^["[{\d]|^(true|false)$/.test(text) ? JSON.stringify(text) : text}`;
}

/** The settings at `path` of the API, to be changed: `{ place, changed(), find(key), used }`, the last as far as it is known. */
export async function settingsList(path, values) {
  const { settings, used = null } = await get(path, values);
  const rows = h("ul", { class: "settings" });
  const note = h("span", { class: "note", role: "status" });
  const search = h("input", { type: "search", "aria-label": "Search the settings", placeholder: "Search the settings", oninput: () => show() });
  const fields = settings.map((setting) => {
    const now = setting.value === null ? "absent" : cut(JSON.stringify(setting.value), 60);
    const field = setting.choices?.length
      ? h("select", { "aria-label": setting.key, onchange: () => show() }, h("option", { value: "" }, `now ${now}`), setting.choices.map((word) => h("option", { value: word }, word)))
      : h("input", { "aria-label": setting.key, placeholder: `now ${now}`, autocomplete: "off", spellcheck: "false", oninput: () => show() });
    const problem = h("span", { class: "problem" });
    const row = h("li", {}, h("div", { class: "setting" }, h("code", {}, setting.key), field), h("p", { class: "note" }, setting.about, h("span", {}, ` (${setting.kind})`)), problem);
    return { setting, field, row, problem, text: `${setting.key} ${setting.about}`.toLowerCase() };
  });
  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const one of fields) {
      const given = one.field.value.trim();
      one.row.hidden = !given && !words.every((word) => one.text.includes(word));
      shown += one.row.hidden ? 0 : 1;
      one.row.classList.toggle("changed-setting", Boolean(given));
      fill(one.problem, given ? wrong(one.setting, given) : null);
    }
    const changed = fields.filter((one) => one.field.value.trim()).length;
    fill(note, `${counted(shown, "setting")}${changed ? `, ${changed} changed` : ""}`);
  }
  fill(rows, fields.map(({ row }) => row));
  show();
  return {
    used,
    place: h("details", { class: "settings-list" }, h("summary", {}, "Settings"), h("div", { class: "filters" }, search, note), rows),
    find: (key) => settings.find((setting) => setting.key === key)?.value,
    changed: () => fields.filter((one) => one.field.value.trim()).map(({ setting, field }) => {
      const text = field.value.trim();
      const problem = wrong(setting, text);
      if (problem) throw new Error(problem);
      return assigned(setting, text);
    }),
  };
}
