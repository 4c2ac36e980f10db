// Observes the page and finds elements on it. Runs in an isolated world, which the page's scripts cannot
// access.
(() => {
  if (globalThis.sojourn) return;

  let ids = new WeakMap();
  let elements = new Map();
  let count = 0;

  // Ids start again at e1, so that an episode has the same ids whenever it is repeated.
  const renumber = () => { ids = new WeakMap(); elements = new Map(); count = 0; };

  const idOf = (element) => {
    let id = ids.get(element);
    if (!id) {
      count += 1;
      id = `e${count}`;
      ids.set(element, id);
      elements.set(id, new WeakRef(element));
    }
    return id;
  };

  const clean = (text) => (text || "").replace(/\s+/g, " ").trim();
  const INLINE = new Set(["A", "ABBR", "B", "BR", "CODE", "EM", "FONT", "I", "MARK", "SMALL", "SPAN", "STRONG", "SUB", "SUP", "U"]);
  const SHAPES = new Set(["circle", "rect", "polygon", "polyline", "ellipse", "path", "line", "text"]);
  const SKIPPED = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "HEAD", "META", "LINK", "OPTION", "OPTGROUP"]);
  const TYPED = new Set(["text", "search", "email", "url", "tel", "password", "number", ""]);

  const ownText = (element) => {
    let text = "";
    for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) text += node.data;
    return clean(text);
  };

  // The text of an element that reads as one piece: text nodes and inline elements.
  const reading = (element) => {
    for (const child of element.children) if (!INLINE.has(child.tagName)) return ownText(element);
    return clean(element.innerText ?? element.textContent);
  };

  const rendered = (element) => {
    if (element.checkVisibility && !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) return null;
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 ? box : null;
  };

  // The part of `box` inside the viewport and all scrolling ancestors, or null.
  const seen = (element, box) => {
    let { left, top, right, bottom } = box;
    for (let up = element.parentElement; up; up = up.parentElement) {
      const style = getComputedStyle(up);
      if (up === document.body || up === document.documentElement) break;
      if (style.overflowX === "visible" && style.overflowY === "visible") continue;
      const frame = up.getBoundingClientRect();
      left = Math.max(left, frame.left); right = Math.min(right, frame.right);
      top = Math.max(top, frame.top); bottom = Math.min(bottom, frame.bottom);
    }
    left = Math.max(left, 0); top = Math.max(top, 0);
    right = Math.min(right, innerWidth); bottom = Math.min(bottom, innerHeight);
    return right > left && bottom > top ? { left, top, right, bottom } : null;
  };

  const roleOf = (element, style) => {
    const role = element.getAttribute("role");
    if (role && role !== "presentation" && role !== "none") return role;
    const tag = element.tagName.toLowerCase();
    switch (tag) {
      case "a": return element.hasAttribute("href") || style.cursor === "pointer" ? "link" : "text";
      case "button": case "summary": return "button";
      case "textarea": return "textbox";
      case "select": return element.multiple || element.size > 1 ? "listbox" : "combobox";
      case "input": {
        const type = element.type;
        if (["button", "submit", "reset", "image"].includes(type)) return "button";
        if (type === "checkbox" || type === "radio") return type;
        if (type === "range") return "slider";
        return TYPED.has(type) ? "textbox" : type;
      }
      case "h1": case "h2": case "h3": case "h4": case "h5": case "h6": return "heading";
      case "label": return "label";
      case "li": return "listitem";
      case "td": return "cell";
      case "th": return "columnheader";
      case "img": return "image";
      case "canvas": return "canvas";
      case "iframe": return "frame";
      default:
    }
    if (element.ownerSVGElement && SHAPES.has(tag)) return tag;
    if (element.isContentEditable && !element.parentElement?.isContentEditable) return "textbox";
    return style.cursor === "pointer" && getComputedStyle(element.parentElement ?? element).cursor !== "pointer" ? "clickable" : "text";
  };

  const before = (element) => {
    for (let node = element.previousSibling; node; node = node.previousSibling) {
      if (node.nodeType === Node.TEXT_NODE && clean(node.data)) return clean(node.data);
      if (node.nodeType !== Node.ELEMENT_NODE) continue;
      if (["INPUT", "SELECT", "TEXTAREA", "BUTTON"].includes(node.tagName)) return "";
      if (clean(node.innerText)) return clean(node.innerText);
    }
    return "";
  };

  const nameOf = (element, role) => {
    const given = clean(element.getAttribute("aria-label"));
    if (given) return given;
    const by = element.getAttribute("aria-labelledby");
    if (by) {
      const words = clean(by.split(/\s+/).map((id) => document.getElementById(id)?.textContent).join(" "));
      if (words) return words;
    }
    const tag = element.tagName;
    if (tag === "INPUT" && role === "button") return clean(element.value || element.alt || element.title) || "button";
    if (tag === "INPUT" || tag === "SELECT" || tag === "TEXTAREA") {
      const labels = clean([...(element.labels ?? [])].map((label) => label.innerText).join(" "));
      if (labels) return labels;
      const hint = clean(element.placeholder || element.title);
      if (hint) return hint;
      const after = role === "checkbox" || role === "radio" ? clean(element.nextSibling?.textContent) : "";
      return after || before(element) || clean(element.name || element.id);
    }
    if (tag === "IMG") return clean(element.alt || element.title);
    const text = role === "button" || role === "link" || role === "clickable" ? clean(element.innerText ?? element.textContent) : reading(element);
    if (text) return text;
    const title = clean(element.title);
    if (title) return title;
    const classes = typeof element.className === "string" ? element.className : (element.getAttribute("class") ?? "");
    return role === "clickable" || role === "button" || role === "link" ? clean(classes.replace(/[-_]/g, " ")) : "";
  };

  // A name for a CSS colour, by hue unless it is grey.
  const colorWord = (css) => {
    const named = /^[a-z]+$/.test(css) && css !== "none" && css !== "transparent" && css !== "inherit" && css !== "currentcolor";
    if (named) return css;
    const parts = css.match(/[\d.]+/g)?.map(Number);
    if (!css.startsWith("rgb") || !parts || (parts.length > 3 && parts[3] === 0)) return "";
    const [r, g, b] = parts.map((value) => value / 255);
    const most = Math.max(r, g, b), least = Math.min(r, g, b), spread = most - least;
    const light = (most + least) / 2;
    if (spread < 0.08) return light > 0.9 ? "white" : light < 0.12 ? "black" : "gray";
    let hue = most === r ? ((g - b) / spread) % 6 : most === g ? (b - r) / spread + 2 : (r - g) / spread + 4;
    hue = (hue * 60 + 360) % 360;
    if (hue < 15 || hue >= 345) return light > 0.75 ? "pink" : "red";
    if (hue < 45) return light < 0.3 ? "brown" : "orange";
    if (hue < 70) return "yellow";
    if (hue < 165) return "green";
    if (hue < 195) return "cyan";
    if (hue < 255) return "blue";
    if (hue < 290) return "purple";
    return light > 0.7 ? "pink" : "magenta";
  };

  const colorOf = (element, style) => {
    if (element.ownerSVGElement) {
      const fill = colorWord(element.getAttribute("fill") ?? "") || colorWord(style.fill);
      return fill || colorWord(style.stroke);
    }
    const back = colorWord(style.backgroundColor);
    return back === "white" ? "" : back;
  };

  // The index of the nearest ancestor that has siblings of its kind, such as a row, an item or a card.
  const itemOf = (element, root) => {
    for (let up = element; up && up !== root && up.parentElement; up = up.parentElement) {
      if (up.parentElement === document.body || INLINE.has(up.tagName) || up.ownerSVGElement || ["TD", "TH", "INPUT", "BUTTON", "LABEL", "BR", "P"].includes(up.tagName)) continue;
      const kind = (other) => other.tagName === up.tagName && other.className === up.className
        && !(settings.ignored && other.matches(settings.ignored));
      const alike = [...up.parentElement.children].filter(kind);
      if (alike.length > 1) return alike.indexOf(up);
    }
    return null;
  };

  const describe = (element, box, visible, root) => {
    const style = getComputedStyle(element);
    const role = roleOf(element, style);
    const tag = element.tagName;
    // Every element has every field, so that programs need no checks.
    const told = {
      id: idOf(element), role, name: nameOf(element, role).slice(0, 400), key: (element.id || element.getAttribute("name") || "").slice(0, 60),
      value: "", options: [], color: colorOf(element, style), row: -1, col: -1, item: itemOf(element, root) ?? -1,
      checked: false, selected: false, expanded: false, collapsed: false, pressed: false,
      disabled: Boolean(element.disabled), readonly: Boolean(element.readOnly), focused: element === document.activeElement, hidden: !visible,
    };
    if (tag === "INPUT" || tag === "TEXTAREA" || tag === "SELECT") {
      if (role === "checkbox" || role === "radio") told.checked = element.checked;
      else if (tag === "SELECT") {
        told.value = [...element.selectedOptions].map((option) => clean(option.text)).join(", ");
        told.options = [...element.options].slice(0, 60).map((option) => clean(option.text));
      } else if (role !== "button") told.value = element.type === "password" ? "*".repeat(element.value.length) : element.value.slice(0, 400);
    } else if (role === "textbox") told.value = clean(element.innerText).slice(0, 400);
    for (const flag of ["checked", "selected", "expanded", "pressed"]) {
      if (element.getAttribute(`aria-${flag}`) === "true") told[flag] = true;
    }
    told.collapsed = element.getAttribute("aria-expanded") === "false";
    if (tag === "TD" || tag === "TH") {
      told.row = element.parentElement?.rowIndex ?? 0;
      told.col = element.cellIndex;
    }
    const middle = visible ?? box;
    told.x = Math.round((middle.left + middle.right) / 2);
    told.y = Math.round((middle.top + middle.bottom) / 2);
    told.w = Math.round(box.width);
    told.h = Math.round(box.height);
    told.size = Math.round(parseFloat(style.fontSize)) || 0;
    return told;
  };

  const worthTelling = (element, style) => {
    const tag = element.tagName;
    if (["INPUT", "SELECT", "TEXTAREA", "BUTTON", "IMG", "CANVAS", "IFRAME", "SUMMARY"].includes(tag)) return element.type !== "hidden";
    if (element.ownerSVGElement) return SHAPES.has(tag.toLowerCase());
    if (tag === "A" && element.hasAttribute("href")) return true;
    if (ownText(element)) return true;
    // A container is described by its content.
    if (element.hasAttribute("role") || element.isContentEditable) return element.children.length === 0 || ACTIVE.has(roleOf(element, style));
    if (style.cursor === "pointer" && getComputedStyle(element.parentElement ?? element).cursor !== "pointer") return true;
    // A coloured area without text.
    return element.children.length === 0 && colorOf(element, style) !== "" && element.getBoundingClientRect().width < innerWidth / 2;
  };

  const walk = (root, ignored, visit) => {
    const open = [root];
    while (open.length > 0) {
      const element = open.pop();
      if (SKIPPED.has(element.tagName) || (ignored && element.matches(ignored))) continue;
      const style = getComputedStyle(element);
      if (style.display === "none") continue;
      if (visit(element, style) === false) return;
      const inner = element.shadowRoot ? [...element.shadowRoot.children] : [...element.children];
      for (let i = inner.length - 1; i >= 0; i--) open.push(inner[i]);
    }
  };

  let settings = { ignored: "", most: 300 };

  const see = () => {
    const told = [];
    let more = 0;
    // An inline element is part of its parent's text, unless it can be operated.
    const within = (element, style) => INLINE.has(element.tagName) && !element.ownerSVGElement && style.cursor !== "pointer"
      && !element.hasAttribute("href") && !element.hasAttribute("role") && element.parentElement && ownText(element.parentElement) !== ""
      && colorOf(element, style) === "";
    if (document.body) {
      walk(document.body, settings.ignored, (element, style) => {
        if (element === document.body && !ownText(element)) return;
        if (!worthTelling(element, style) || within(element, style)) return;
        const box = rendered(element);
        if (!box) return;
        if (told.length >= settings.most) { more += 1; return; }
        told.push(describe(element, box, seen(element, box), document.body));
      });
    }
    const focus = document.activeElement;
    return {
      url: location.href,
      title: clean(document.title),
      focus: focus && focus !== document.body ? idOf(focus) : "",
      elements: told,
      more,
      scroll: { y: Math.round(scrollY), most: Math.max(0, document.documentElement.scrollHeight - innerHeight) },
    };
  };

  const alive = (id) => {
    const element = elements.get(id)?.deref();
    return element && element.isConnected ? element : null;
  };

  const ACTIVE = new Set(["button", "link", "textbox", "checkbox", "radio", "combobox", "listbox", "slider", "clickable", "tab", "menuitem", "option", "switch"]);

  // Finds an element by id, or else by name: exact, ignoring case, or partial. Operable elements precede
  // plain text.
  const find = (target, wanted) => {
    if (/^e\d+$/.test(target)) {
      const element = alive(target);
      return element ? { element } : { error: `there is no ${target} on the page any more; look at observe().elements` };
    }
    const words = clean(target), low = words.toLowerCase();
    if (!words) return { error: "the target is empty: give an element's id or its words" };
    let best = null, rank = 0;
    walk(document.body, settings.ignored, (element, style) => {
      if (!worthTelling(element, style)) return;
      const box = rendered(element);
      if (!box) return;
      const role = roleOf(element, style), name = nameOf(element, role);
      const key = element.id || element.getAttribute("name") || "";
      let score = name === words ? 8 : name.toLowerCase() === low ? 6 : key === words ? 5 : low.length > 1 && name.toLowerCase().includes(low) ? 2 : 0;
      if (score === 0) return;
      if (wanted ? wanted.has(role) : ACTIVE.has(role)) score += wanted ? 4 : 1.5;
      else if (wanted) score -= 3;
      if (seen(element, box)) score += 0.25;
      if (element.contains(best) === false && score > rank) { best = element; rank = score; }
      else if (best && best.contains(element) && score >= rank) { best = element; rank = score; }
    });
    return best ? { element: best } : { error: `nothing on the page is called "${words.slice(0, 60)}"` };
  };

  const WANTED = {
    type: new Set(["textbox", "slider", "date", "time", "color", "number", "month", "week", "datetime-local", "combobox", "searchbox", "spinbutton"]),
    select: new Set(["combobox", "listbox"]),
  };

  const nearText = (element, role) => `${role} "${nameOf(element, role).slice(0, 60)}"`;

  // Where to point, after scrolling the element into view.
  const locate = (target, action) => {
    if (typeof target === "object") return { x: target.x, y: target.y, what: `the point ${target.x},${target.y}` };
    const { element, error } = find(target, WANTED[action]);
    if (error) return { error };
    let box = rendered(element);
    if (!box) return { error: `${idOf(element)} is not shown now` };
    let shown = seen(element, box);
    const whole = shown && shown.right - shown.left >= Math.min(box.width, innerWidth) * 0.6 && shown.bottom - shown.top >= Math.min(box.height, innerHeight) * 0.6;
    if (!whole) {
      element.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
      box = element.getBoundingClientRect();
      shown = seen(element, box);
      if (!shown) return { error: `${idOf(element)} cannot be scrolled to` };
    }
    const role = roleOf(element, getComputedStyle(element));
    // A link that wraps has several boxes; the centre of the first lies on it.
    const first = INLINE.has(element.tagName) ? element.getClientRects()[0] : null;
    const frame = first && seen(element, first) ? seen(element, first) : shown;
    const x = (frame.left + frame.right) / 2, y = (frame.top + frame.bottom) / 2;
    const top = document.elementFromPoint(x, y);
    if (top && top !== element && !element.contains(top) && !top.contains(element) && !top.shadowRoot?.contains(element)
      && !(element.labels && [...element.labels].some((label) => label.contains(top))) && !top.closest("svg")) {
      return { error: `${nearText(element, role)} is covered by ${nearText(top, roleOf(top, getComputedStyle(top)))}` };
    }
    if (element.disabled) return { error: `${nearText(element, role)} is disabled` };
    return { x, y, id: idOf(element), what: nearText(element, role), role };
  };

  const changed = (element) => {
    element.dispatchEvent(new Event("input", { bubbles: true }));
    element.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // Converts month/day/year to the format of a date field.
  const asDay = (text) => {
    const parts = /^\s*(\d{1,2})\/(\d{1,2})\/(\d{4})\s*$/.exec(text);
    return parts ? `${parts[3]}-${parts[1].padStart(2, "0")}-${parts[2].padStart(2, "0")}` : text;
  };

  // Focuses a field and selects its content, so that typing replaces it.
  const prepare = (target, text) => {
    const { element, error } = find(target, WANTED.type);
    // Models easily swap field and text.
    if (error && text && find(text, WANTED.type).element) return { error: `${error}; the field comes first, then the text` };
    if (error) return { error };
    const what = nearText(element, roleOf(element, getComputedStyle(element)));
    if (element.disabled || element.readOnly) return { error: `${what} cannot be typed into` };
    element.scrollIntoView({ block: "nearest", behavior: "instant" });
    if (element.tagName === "INPUT" && !TYPED.has(element.type)) {
      const types = ["date", "time", "color", "month", "week", "datetime-local", "range"];
      if (!types.includes(element.type)) return { error: `${what} is not for typing: it is a ${element.type}` };
      element.focus();
      const value = element.type === "date" ? asDay(text) : text;
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(element, value);
      if (element.value === "" && text !== "") return { error: `${what} does not take "${text}"; a ${element.type} is written like ${element.type === "date" ? "2024-12-31 or 12/31/2024" : "its value"}` };
      changed(element);
      return { what, set: true };
    }
    if (element.tagName !== "INPUT" && element.tagName !== "TEXTAREA" && !element.isContentEditable) return { error: `${what} is not a field for text` };
    element.focus();
    if (element.select) element.select();
    else getSelection().selectAllChildren(element);
    return { what, focused: document.activeElement === element };
  };

  const choose = (target, wanted) => {
    const { element, error } = find(target, WANTED.select);
    if (error) return { error };
    const what = nearText(element, roleOf(element, getComputedStyle(element)));
    if (element.tagName !== "SELECT") return { error: `${what} has no options of its own: click it, then click what appears` };
    const low = clean(wanted).toLowerCase();
    const options = [...element.options];
    const option = options.find((one) => clean(one.text) === clean(wanted)) ?? options.find((one) => clean(one.text).toLowerCase() === low)
      ?? options.find((one) => one.value === wanted);
    if (!option) return { error: `${what} has no option "${wanted}"; it has ${options.slice(0, 12).map((one) => clean(one.text)).join(", ")}` };
    element.focus();
    option.selected = true;
    changed(element);
    return { what };
  };

  const scroll = (target, down) => {
    let element = document.scrollingElement;
    if (target) {
      const found = find(target, null);
      if (found.error) return found;
      element = found.element;
      const scrolls = (one) => one.scrollHeight > one.clientHeight + 1 && !["visible", "hidden"].includes(getComputedStyle(one).overflowY);
      while (element && !scrolls(element) && element.tagName !== "TEXTAREA") element = element.parentElement;
      element ??= document.scrollingElement;
    }
    const was = element.scrollTop;
    element.scrollBy({ top: down, behavior: "instant" });
    return element.scrollTop === was ? { error: "it does not scroll any further" } : { what: "the page" };
  };

  // Selects a substring of an element's text, or all of it.
  const mark = (target, text) => {
    const { element, error } = find(target, null);
    if (error) return { error };
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    if (!text) range.selectNodeContents(element);
    else {
      let found = false;
      while (!found && walker.nextNode()) {
        const at = walker.currentNode.data.indexOf(text);
        if (at >= 0) { range.setStart(walker.currentNode, at); range.setEnd(walker.currentNode, at + text.length); found = true; }
      }
      if (!found) return { error: `"${text.slice(0, 60)}" does not stand in it` };
    }
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.dispatchEvent(new Event("selectionchange"));
    element.dispatchEvent(new MouseEvent("mouseup", { bubbles: true }));
    return { what: `the text "${clean(range.toString()).slice(0, 60)}"` };
  };

  const text = (most) => clean(document.body?.innerText).slice(0, most);

  // Time of the last mutation. A click may cause changes before anybody waits for them.
  let changedAt = -Infinity;
  new MutationObserver(() => { changedAt = performance.now(); })
    .observe(document, { subtree: true, childList: true, attributes: true, characterData: true });

  // Resolves when nothing has changed for `quiet` ms, or after `most` ms.
  const settle = (quiet, most) => new Promise((done) => {
    const begun = performance.now();
    const moving = () => document.getAnimations().some((one) => one.playState === "running" && one.effect?.getTiming().iterations !== Infinity);
    const look = () => {
      const now = performance.now();
      if (now - begun > most) return done();
      if (document.readyState === "loading") return setTimeout(look, quiet);
      if (now - changedAt >= quiet && !moving()) return done();
      setTimeout(look, quiet / 2);
    };
    setTimeout(look, 0);
  });

  globalThis.sojourn = {
    see, locate, prepare, choose, renumber, scroll, mark, text, settle,
    configure: (given) => { settings = { ...settings, ...given }; },
  };
})();
