// Elements. Every text goes through text nodes: nothing that a log, a skill or a memory says is ever read as markup.

const SVG_SPACE = "http://www.w3.org/2000/svg";

/** An element: `h("p", { class: "note", onclick }, "text", child)`. Properties that are null or false are left out. */
export function h(tag, properties, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** An element of a drawing. */
export function s(tag, properties, ...children) {
  return filled(document.createElementNS(SVG_SPACE, tag), properties, children);
}

function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "open") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Replaces the children of a node. */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** Calls `what` once it was not asked for again within `ms`. */
export function debounced(ms, what) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => what(...given), ms);
  };
}

/** Gives the reader a file. */
export function download(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Whether a key was typed into a field, where it means itself. */
export function isTyping(event) {
  const at = event.target;
  return at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName)) && at.type !== "range";
}

/** A short message at the bottom of the page, read out by screen readers. */
export function say(text, isError = false) {
  let place = document.getElementById("say");
  if (!place) {
    place = h("div", { id: "say", role: "status", "aria-live": "polite" });
    document.body.append(place);
  }
  const note = h("p", { class: isError ? "toast bad" : "toast" }, text);
  place.append(note);
  setTimeout(() => note.remove(), isError ? 9000 : 5000);
}

/** A dialog that asks before something is done; `act(form, tell)` does it and may fail, and `tell` says how far it is. Without it, the
 * dialog only tells. */
export function ask({ title, body, button, danger = false, act = null }) {
  const problem = h("p", { class: "problem", role: "alert" });
  const far = h("p", { class: "note how-far", role: "status" });
  const yes = h("button", { class: danger ? "primary danger" : "primary", type: "submit" }, button);
  const dialog = h("dialog", { class: "ask", "aria-label": title },
    h("form", {
      onsubmit: async (event) => {
        event.preventDefault();
        yes.disabled = true;
        fill(yes, "Working…");
        fill(problem);
        try {
          await act?.(new FormData(event.target), (words) => fill(far, words));
          dialog.close();
        } catch (error) {
          fill(problem, error.message);
          fill(far);
          fill(yes, button);
          yes.disabled = false;
        }
      },
    }, h("h2", {}, title), body, problem, far,
    h("div", { class: "buttons" }, act && h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), yes)));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
