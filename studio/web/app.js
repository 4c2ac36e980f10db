// The studio: which page is shown, by the address.

import { debounced, fill, h } from "./dom.js";
import { ServerRun, get } from "./source.js";
import { runsPage } from "./runs.js";
import { runPage } from "./run.js";
import { skillsPage } from "./skills.js";
import { memoryPage } from "./memory.js";
import { plotsPage } from "./plots.js";
import { approvalsPage } from "./approvals.js";
import { comparePage } from "./compare.js";

// The token was in the address once; the cookie has it now, and neither history nor bookmarks get it.
if (location.search) history.replaceState(null, "", location.pathname + location.hash);

const PAGES = [["runs", "Runs"], ["skills", "Skills"], ["memory", "Memory"], ["plots", "Plots"], ["approvals", "Approvals"]];
const main = h("main", { id: "main" });
const links = new Map(PAGES.map(([name, label]) => [name, h("a", { href: `#/${name}` }, label)]));
let close = () => {};
let turn = 0;
let kinds = null;

fill(document.getElementById("app"),
  h("a", { class: "skip", href: "#main", onclick: (event) => {
    event.preventDefault();
    main.querySelector("h1, h2, [tabindex]")?.focus();
  } }, "To the content"),
  h("header", { class: "top" }, h("a", { class: "brand", href: "#/runs" }, h("img", { src: "/icon.svg", alt: "", width: "22", height: "22" }), "Sojourn Studio"),
    h("nav", { "aria-label": "Pages" }, [...links.values()])),
  main);

/** Goes to an address; `anew` shows the page again where it is that one already. */
function go(address, anew = false) {
  if (anew || location.hash === address) show();
  else location.hash = address;
}

function parsed() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const words = path.split("/").filter(Boolean).map((word) => {
    try {
      return decodeURIComponent(word);
    } catch {
      return word;
    }
  });
  return { words, query: new URLSearchParams(query) };
}

async function show() {
  turn += 1;
  const mine = turn;
  let address = location.hash;
  close();
  close = () => {};
  const { words: [page = "runs", name], query } = parsed();
  for (const [each, link] of links) {
    if (each === page || (each === "runs" && (page === "run" || page === "compare"))) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const place = h("div", { class: "place" }, h("p", { class: "empty", role: "status" }, "Reading…"));
  fill(main, place);
  document.title = `${name ? `${name} · ` : ""}${page} · Sojourn Studio`;
  try {
    let ends;
    if (page === "runs") ends = await runsPage(place, { go });
    else if (page === "run" && name) {
      kinds ??= (await get("/home")).kinds;
      // Browsers refuse an address that changes with every frame.
      const remember = debounced(300, (seq) => {
        // Another address may have been asked for already.
        if (mine !== turn || location.hash !== address) return;
        history.replaceState(null, "", `#/run/${encodeURIComponent(name)}?seq=${seq}`);
        address = location.hash;
      });
      ends = await runPage(place, { source: new ServerRun(name), seq: Number(query.get("seq")) || 0, kinds, remember });
    } else if (page === "skills") await skillsPage(place, { name, go, text: query.get("q") ?? "", status: query.get("status") ?? "" });
    else if (page === "memory") await memoryPage(place, { id: name, go, text: query.get("q") ?? "", kind: query.get("kind") ?? "" });
    else if (page === "approvals") ends = await approvalsPage(place, { id: name, go });
    else if (page === "compare") ends = await comparePage(place, { runs: (query.get("runs") ?? "").split(",").filter(Boolean) });
    else if (page === "plots") await plotsPage(place, { runs: (query.get("runs") ?? "").split(",").filter(Boolean), go });
    else fill(place, h("p", { class: "empty" }, "There is no such page."));
    if (mine !== turn) ends?.();
    else close = ends ?? (() => {});
  } catch (error) {
    fill(place, h("div", { class: "page" }, h("h1", { tabindex: "-1" }, "This cannot be shown"), h("p", { class: "problem", role: "alert" }, error.message)));
  }
  if (mine === turn) place.querySelector("h1")?.focus({ preventScroll: true });
}

/** The number of calls that wait, beside the link to them. */
async function lookForCalls() {
  try {
    const { total } = await get("/approvals", { limit: 1 });
    fill(links.get("approvals"), "Approvals", total > 0 && h("span", { class: "badge" }, total, h("span", { class: "unseen" }, " waiting")));
  } catch {
    // The next look may succeed.
  }
}

addEventListener("hashchange", show);
show();
lookForCalls();
setInterval(lookForCalls, 4000);
