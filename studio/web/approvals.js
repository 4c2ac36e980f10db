// Calls that wait for a person: what would be called, what led to it, and the answer.

import { fill, h, say } from "./dom.js";
import { counted, date, span } from "./format.js";
import { get, post } from "./source.js";
import { resumeRun, runLink } from "./act.js";

const WORDS = { pending: "waits", allowed: "allowed", denied: "denied" };
const approvalLink = (id) => `#/approvals/${encodeURIComponent(id)}`;

/** The page of the approvals, with one beside the list. Returns what ends it. */
export async function approvalsPage(place, { id, go }) {
  const list = h("ul", { class: "memory-list" });
  const note = h("span", { class: "note", role: "status" });
  const detail = h("section", { class: "right", "aria-label": "Approval" }, h("p", { class: "empty" }, "Choose a call."));
  const all = h("input", { type: "checkbox", onchange: () => look() });
  let closed = false;
  let known = "";

  async function look() {
    const { approvals, total } = await get("/approvals", { all: all.checked });
    if (closed) return;
    const now = JSON.stringify([total, approvals]);
    if (now === known) return;
    known = now;
    const shown = approvals.length < total ? `; the newest ${approvals.length} are listed` : "";
    fill(note, (all.checked ? `${counted(total, "call")}, answered ones included` : counted(total, "call") + (total === 1 ? " waits" : " wait")) + shown);
    fill(list, approvals.length === 0 ? h("li", { class: "empty" }, "No call waits for an approval.") : approvals.map((one) => h("li", { class: one.approval === id ? "chosen" : null },
      h("a", { href: approvalLink(one.approval), "aria-current": one.approval === id ? "true" : null }, one.tool),
      h("p", { class: "why" }, h("span", { class: one.state === "pending" ? "tag achievement" : "tag" }, WORDS[one.state] ?? one.state),
        one.effects?.irreversible && h("span", { class: "tag failure" }, "cannot be undone"),
        h("span", { class: "note" }, `${date(one.asked_ms)} · run ${one.run}`)))));
  }

  fill(place, h("div", { class: "page memory" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Approvals"),
    h("div", { class: "filters" }, h("label", { class: "choice" }, all, "answered ones too"), note)),
  h("div", { class: "panes" }, h("section", { class: "left scroll", "aria-label": "Calls" }, list), detail)));
  await look();
  if (id) await drawApproval(detail, id, () => look(), go);
  const timer = setInterval(() => look().catch(() => {}), 2000);
  return () => {
    closed = true;
    clearInterval(timer);
  };
}

async function drawApproval(place, id, answered, go) {
  let one;
  try {
    one = await get(`/approvals/${encodeURIComponent(id)}`);
  } catch (error) {
    fill(place, h("p", { class: "problem" }, error.message));
    return;
  }
  draw(one);

  function draw(now) {
    const waits = now.state === "pending";
    const facts = [
      ["tool", h("code", {}, now.tool)], ["it says", now.description], ["asked by", now.reason], ["asked", date(now.asked_ms)],
      now.expires_ms && ["time-out", `${now.on_timeout} in ${span((now.expires_ms - Date.now()) / 1000)}`],
      ["run", h("a", { href: runLink(now.run, now.record) }, `${now.run}, after record ${now.record}`)],
      now.answered_by && ["answer", `${now.state} by ${now.answered_by}, ${date(now.answered_ms)}`],
    ].filter(Boolean);
    fill(place, h("header", { class: "moment-head" }, h("h2", { tabindex: "-1" }, waits ? "May it?" : `It was ${now.state}`)),
      h("div", { class: "card" },
        now.effects?.irreversible && h("p", { class: "problem" }, "This cannot be undone."),
        h("h3", {}, "The whole call"),
        now.unreadable ? h("p", { class: "problem" }, now.unreadable) : h("pre", { class: "view", tabindex: "0", "aria-label": "Arguments" }, now.lines.join("\n")),
        h("dl", { class: "facts" }, facts.map(([head, value]) => h("div", {}, h("dt", {}, head), h("dd", {}, value)))),
        waits && h("div", { class: "buttons" }, !now.unreadable && h("button", { type: "button", class: "primary", onclick: () => answer(true) }, "Allow this call"),
          h("button", { type: "button", class: "danger", onclick: () => answer(false) }, "Deny")),
        now.next && h("p", { class: "note" }, now.next)),
      h("section", { class: "card", "aria-label": "What led to it" }, h("h3", {}, "What led to it"),
        h("ol", { class: "history" }, now.led_to_it.map((line) => {
          const [seq, ...rest] = line.split(" ");
          return h("li", {}, h("a", { href: runLink(now.run, seq) }, seq), ` ${rest.join(" ")}`);
        }))));
  }

  async function answer(allow) {
    try {
      const now = await post(`/approvals/${encodeURIComponent(id)}`, { allow });
      draw(now);
      say(`The call was ${now.state}.`);
      await answered();
      if (now.next?.includes("--resume")) {
        const { run } = await get(`/runs/${encodeURIComponent(now.run)}`);
        await resumeRun(run, () => go(runLink(now.run)));
      }
    } catch (error) {
      say(error.message, true);
    }
  }
}
