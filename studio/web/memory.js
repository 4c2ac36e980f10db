// Memories: search with reasons, where each came from, and forgetting.

import { ask, debounced, fill, h, say } from "./dom.js";
import { count, counted, cut, date } from "./format.js";
import { get, post, query } from "./source.js";
import { memoryMap } from "./map.js";

const MEMORY_KINDS = ["reflection", "episode", "fact", "knowledge", "skill"];

/** What the kinds are called in lists, and one of them. */
const KIND_NAMES = { reflection: "lessons", episode: "events", fact: "facts", knowledge: "documents", skill: "skills" };
const kindOf = (kind) => ({ reflection: "lesson", episode: "event", knowledge: "document" })[kind] ?? kind;

/** The page of the memories, with one beside the list. */
export async function memoryPage(place, { id, go, text = "", kind = "" }) {
  const list = h("ul", { class: "memory-list" });
  const detail = h("section", { class: "one", "aria-label": "Memory" });
  const map = h("section", { class: "card", "aria-label": "Map" });
  const note = h("span", { class: "note", role: "status" });
  const search = h("input", { type: "search", "aria-label": "Search the memories", placeholder: "Search by words and meaning", value: text, oninput: debounced(250, () => look()) });
  const kinds = h("select", { "aria-label": "Kind", onchange: () => look() }, h("option", { value: "" }, "all kinds"), MEMORY_KINDS.map((name) => h("option", { value: name }, KIND_NAMES[name])));
  kinds.value = kind;
  let looks = 0;

  async function look() {
    looks += 1;
    const mine = looks;
    let answer;
    try {
      answer = await get("/memories", { q: search.value.trim(), kind: kinds.value, limit: 100 });
    } catch (error) {
      fill(list, h("li", { class: "problem" }, error.message));
      return;
    }
    if (mine !== looks) return;
    const { found, kinds: counts } = answer;
    const total = Object.values(counts).reduce((sum, one) => sum + one, 0);
    fill(note, search.value.trim() ? `${counted(found.memories.length, "match")} by ${found.searched_by}` : `the newest of ${counted(total, "memory")}`);
    fill(map, h("h2", {}, "Map"), memoryMap(found.memories.map(({ memory }) => memory), linkTo, id));
    map.hidden = found.memories.length === 0;
    fill(list, found.memories.length === 0 ? h("li", { class: "empty" }, total === 0 ? "This home has no memories yet." : "No memory matches.") : found.memories.map((hit) => item(hit, search.value.trim() !== "")));
  }

  function linkTo(memory) {
    return `#/memory/${encodeURIComponent(memory.id)}${query({ q: search.value.trim(), kind: kinds.value })}`;
  }

  function item({ memory, score, why }, isFound) {
    const link = linkTo(memory);
    const reasons = why.exact ? ["quoted exactly"] : [
      why.cosine !== null && why.cosine !== undefined && `meaning ${why.cosine.toFixed(2)}`, why.bm25 > 0 && `words ${why.bm25.toFixed(2)}`,
      why.neighbours > 0 && `neighbours ${why.neighbours.toFixed(2)}`, `recency ${why.recency.toFixed(2)}`, `importance ${why.importance.toFixed(2)}`].filter(Boolean);
    return h("li", { class: memory.id === id ? "chosen" : null },
      h("a", { href: link, "aria-current": memory.id === id ? "true" : null }, cut(memory.text, 400)),
      h("p", { class: "why" }, h("span", { class: `tag m-${memory.kind}` }, kindOf(memory.kind)),
        memory.pinned && h("span", { class: "tag" }, "pinned"), memory.valid_to_ms && h("span", { class: "tag" }, "replaced"), memory.untrusted && h("span", { class: "tag failure" }, "from outside"),
        memory.helpful + memory.harmful > 0 && h("span", { class: "credit" }, `helped ${memory.helpful}, harmed ${memory.harmful}`),
        h("span", { class: "note" }, date(memory.event_time_ms)), isFound && h("span", { class: "note" }, ` score ${score.toFixed(2)}: ${reasons.join(", ")}`)));
  }

  fill(place, h("div", { class: id ? "page memory has-one" : "page memory" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Memory"), h("div", { class: "filters" }, search, kinds, note)),
    h("div", { class: "panes" }, h("section", { class: "left scroll", "aria-label": "Memories" }, list),
      h("div", { class: "right" }, detail, map))));
  await look();
  list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
  if (id) await drawMemory(detail, id, go);
}

async function drawMemory(place, id, go) {
  const path = `/memories/${encodeURIComponent(id)}`;
  let data;
  try {
    data = await get(path);
  } catch (error) {
    fill(place, h("p", { class: "problem" }, error.message));
    return;
  }
  const { memory, sources, replaced_by: later } = data;
  const facts = [
    ["kind", kindOf(memory.kind)], ["happened", date(memory.event_time_ms)], ["importance", `${memory.importance} of 10`],
    ["credit", `${counted(memory.helpful, "time")} helpful, ${counted(memory.harmful, "time")} harmful`], ["world", memory.environment ?? "any"],
    memory.document && ["document", memory.document], memory.valid_to_ms && ["valid until", date(memory.valid_to_ms)],
    memory.expires_at_ms && ["expires", date(memory.expires_at_ms)], memory.untrusted && ["trust", "made of text from outside"], ["id", h("code", { class: "hash" }, memory.id)],
  ].filter(Boolean);
  fill(place, h("header", { class: "moment-head" }, h("h2", { tabindex: "-1" }, memory.kind === "reflection" ? "Lesson" : "Memory")),
    h("div", { class: "card" }, h("blockquote", {}, memory.text), h("dl", { class: "facts" }, facts.map(([head, value]) => h("div", {}, h("dt", {}, head), h("dd", {}, value)))),
      h("div", { class: "buttons" },
        h("button", { type: "button", onclick: pin }, memory.pinned ? "Unpin" : "Pin"), h("button", { type: "button", onclick: edit }, "Edit…"), h("button", { type: "button", class: "danger", onclick: forget }, "Forget…"))),
    h("section", { class: "card", "aria-label": "Origin" }, h("h3", {}, "Made from"), sources.length === 0 ? h("p", { class: "note" }, memory.document ? `the document ${memory.document}` : "no record of a run")
      : h("ul", { class: "history" }, sources.map((origin) => h("li", {}, h("a", { href: `#/run/${encodeURIComponent(origin.run)}?seq=${origin.seq}` }, `${origin.run}, record ${origin.seq}`), ` ${origin.kind}: ${origin.says}`)))),
    later.length > 0 && h("section", { class: "card", "aria-label": "Replaced by" }, h("h3", {}, "Replaced by"), later.map((newer) => h("p", {}, h("a", { href: `#/memory/${encodeURIComponent(newer.id)}` }, newer.text)))));

  async function pin() {
    try {
      await post(`${path}/pin`, { pinned: !memory.pinned });
      await drawMemory(place, id, go);
    } catch (error) {
      say(error.message, true);
    }
  }

  function edit() {
    ask({
      title: "Edit this memory", button: "Replace it",
      body: [h("p", {}, "A memory with the new text replaces this one, which is kept and recalled no more."),
        h("label", {}, "Text", h("textarea", { name: "text", rows: "6", required: true, value: memory.text }))],
      act: async (form) => {
        const { id: newer } = await post(`${path}/edit`, { text: String(form.get("text")) });
        say("The memory was replaced.");
        go(`#/memory/${encodeURIComponent(newer)}`, newer === id);
      },
    });
  }

  async function forget() {
    let removed;
    try {
      removed = await get(`${path}/forget`);
    } catch (error) {
      say(error.message, true);
      return;
    }
    ask({
      title: "Forget this memory for good?", danger: true, button: "Forget",
      body: [h("blockquote", {}, cut(memory.text, 400)),
        h("p", {}, `${counted(removed.records, "record")} of the log and ${counted(removed.blobs, "stored text")} lose their content, besides the memory itself, its words and its vectors. `
          + "The log still verifies; a run cannot be replayed past these records. This cannot be undone.")],
      act: async () => {
        const result = await post(`${path}/forget`);
        say(`Forgotten: ${counted(result.records, "record")} and ${counted(result.blobs, "stored text")} lost their content; ${count(result.files)} files were searched for the text.`
          + (result.residue.length ? ` It is still in ${result.residue.join(", ")}.` : ""), result.residue.length > 0);
        go("#/memory");
      },
    });
  }
}
