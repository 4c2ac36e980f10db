// Finds the element that an action is about, and the point to press.

const ACTIVE = new Set(["button", "link", "textbox", "checkbox", "radio", "combobox", "listbox", "slider", "clickable", "tab", "menuitem", "option", "switch"]);

const WANTED = {
  type: new Set(["textbox", "slider", "date", "time", "color", "number", "month", "week", "datetime-local", "combobox", "searchbox", "spinbutton"]),
  select: new Set(["combobox", "listbox"]),
};

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
  const whole = walk(settings.ignored, SEARCHED, (element, style) => {
    try {
      if (!worthTelling(element, style)) return;
      const role = roleOf(element, style), name = nameOf(element, role);
      const key = idAttributeOf(element) || attributeOf(element, "name") || "";
      let score = name === words ? 8 : name.toLowerCase() === low ? 6 : key === words ? 5 : low.length > 1 && name.toLowerCase().includes(low) ? 2 : 0;
      if (score === 0) return;
      if (wanted ? wanted.has(role) : ACTIVE.has(role)) score += wanted ? 4 : 1.5;
      else if (wanted) score -= 3;
      if (score + 0.25 < rank) return;
      const box = rendered(element);
      if (!box) return;
      if (seen(element, box)) score += 0.25;
      // Of elements within each other the innermost is meant.
      if (score > rank || (best && score === rank && flatContains(best, element))) { best = element; rank = score; }
    } catch { /* An element that cannot be read is not found. */ }
  });
  if (best) return { element: best };
  return { error: `nothing ${whole ? "on the page" : `among the first ${SEARCHED} elements`} is called "${cut(words, 60)}"` };
};

const nearText = (element, role) => `${role} "${cut(nameOf(element, role), 60)}"`;

const isCovered = (element, top) => {
  if (top === element || flatContains(element, top) || flatContains(top, element) || closest(top, "svg")) return false;
  return ![...(FIELDS.has(tagOf(element)) || tagOf(element) === "BUTTON" ? element.labels ?? [] : [])].some((label) => flatContains(label, top));
};

// Where to point, after scrolling the element into view.
const locate = (target, action) => {
  forget();
  if (typeof target === "object") return { x: target.x, y: target.y, what: `the point ${target.x},${target.y}` };
  const { element, error } = find(target, WANTED[action]);
  if (error) return { error };
  let box = rendered(element);
  if (!box) return { error: `${idOf(element)} is not shown now` };
  let shown = seen(element, box);
  const whole = shown && shown.right - shown.left >= Math.min(box.width, innerWidth) * 0.6 && shown.bottom - shown.top >= Math.min(box.height, innerHeight) * 0.6;
  if (!whole) {
    scrollIntoView(element, { block: "nearest", inline: "nearest", behavior: "instant" });
    forget();
    box = onPage(element, boxOf(element));
    shown = seen(element, box);
    if (!shown) return { error: `${idOf(element)} cannot be scrolled to` };
  }
  const role = roleOf(element, getComputedStyle(element));
  // A link that wraps has several boxes; the centre of the first lies on it.
  const first = INLINE.has(tagOf(element)) ? element.getClientRects()[0] : null;
  const frame = (first && seen(element, onPage(element, first))) || shown;
  const x = (frame.left + frame.right) / 2, y = (frame.top + frame.bottom) / 2;
  const top = elementAt(x, y);
  if (top && isCovered(element, top)) {
    return { error: `${nearText(element, role)} is covered by ${nearText(top, roleOf(top, getComputedStyle(top)))}` };
  }
  if (isDisabled(element)) return { error: `${nearText(element, role)} is disabled` };
  return { x, y, id: idOf(element), what: nearText(element, role), role };
};
