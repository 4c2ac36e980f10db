// The observation of a page: its elements, each with the same fields, and its text.

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

const alive = (id) => {
  const element = elements.get(id)?.deref();
  return element && isConnected(element) && isShown(documentOf(element)) ? element : null;
};

// `ignored`: a selector of elements that are not told of. `most`: elements that are told of. `visits`: elements that are
// looked at. `options`: options of a list that are told of.
let settings = { ignored: "", most: 300, visits: 250_000, options: 60 };

// The element that has the keyboard.
const focusedElement = () => {
  let focused = activeOf(document);
  for (;;) {
    const page = focused && frameDocument(focused);
    const inner = page ? activeOf(page) : focused && shadowOf(focused)?.activeElement;
    if (!inner || (page && inner === bodyOf(page))) return focused;
    focused = inner;
  }
};

// The index of the nearest ancestor that has siblings of its kind, such as a row, an item or a card.
const NO_ITEMS = new Set(["TD", "TH", "INPUT", "BUTTON", "LABEL", "BR", "P"]);
const itemOf = (element) => {
  const body = bodyOf(documentOf(element));
  for (let up = element; up && up !== body; ) {
    const around = flatParent(up);
    if (!around) return null;
    if (around !== body && !INLINE.has(tagOf(up)) && !isSvgPart(up) && !NO_ITEMS.has(tagOf(up))) {
      const place = placesAmongAlike(around).get(up);
      if (place !== undefined) return place;
    }
    up = around;
  }
  return null;
};
// The indexes of the children that have siblings of the same tag and class.
const placesAmongAlike = (around) => {
  let found = alike.get(around);
  if (found) return found;
  const groups = new Map();
  for (const child of flatChildren(around)) {
    if (settings.ignored && matches(child, settings.ignored)) continue;
    const kind = `${tagOf(child)}\n${attributeOf(child, "class") ?? ""}`;
    if (!groups.has(kind)) groups.set(kind, []);
    groups.get(kind).push(child);
  }
  found = new Map();
  for (const group of groups.values()) if (group.length > 1) group.forEach((child, at) => found.set(child, at));
  alike.set(around, found);
  return found;
};

// The words of an option: with those of its group, where another group has an option of the same words.
const optionsOf = (list) => {
  const options = [...list.options].map((option) => ({ option, words: clean(option.text) }));
  const times = new Map();
  for (const { words } of options) times.set(words, (times.get(words) ?? 0) + 1);
  for (const one of options) {
    const group = parentNodeOf(one.option);
    const name = group && tagOf(group) === "OPTGROUP" ? clean(group.label) : "";
    one.label = cut(name && times.get(one.words) > 1 ? `${name}: ${one.words}` : one.words, 200);
    one.disabled = one.option.disabled || Boolean(group && tagOf(group) === "OPTGROUP" && group.disabled);
  }
  return options;
};

// The site that a frame shows, for one whose content cannot be read.
const siteOf = (frame) => {
  const address = attributeOf(frame, "src") ?? attributeOf(frame, "data") ?? "about:blank";
  try {
    const url = new URL(address, documentOf(frame).baseURI);
    return url.origin === "null" ? url.protocol : url.origin;
  } catch { return "unknown"; }
};

const describe = (element, style, box, visible, focused) => {
  const role = roleOf(element, style);
  const tag = tagOf(element);
  // Every element has every field, so that programs need no checks.
  const told = {
    id: idOf(element), role, name: cut(nameOf(element, role), 400), key: cut(idAttributeOf(element) || attributeOf(element, "name") || "", 60),
    value: "", options: [], more_options: 0, disabled_options: 0, color: colorOf(element, style), row: -1, col: -1, item: itemOf(element) ?? -1,
    checked: false, selected: false, expanded: false, collapsed: false, pressed: false,
    disabled: isDisabled(element), readonly: FIELDS.has(tag) && Boolean(element.readOnly), focused: element === focused, hidden: !visible,
  };
  if (FIELDS.has(tag)) {
    if (role === "checkbox" || role === "radio") told.checked = element.checked;
    else if (tag === "SELECT") {
      const options = optionsOf(element), enabled = options.filter((one) => !one.disabled);
      told.value = cut(options.filter((one) => one.option.selected).map((one) => one.label).join(", "), 400);
      told.options = enabled.slice(0, settings.options).map((one) => one.label);
      told.more_options = Math.max(0, enabled.length - settings.options);
      told.disabled_options = options.length - enabled.length;
    } else if (role !== "button") told.value = element.type === "password" ? "*".repeat(Math.min(element.value.length, 400)) : cut(element.value, 400);
  } else if (role === "textbox") told.value = cut(clean(shownText(element)), 400);
  else if (role === "frame" && !frameDocument(element)) told.value = siteOf(element);
  for (const flag of ["checked", "selected", "expanded", "pressed"]) {
    if (attributeOf(element, `aria-${flag}`) === "true") told[flag] = true;
  }
  told.collapsed = attributeOf(element, "aria-expanded") === "false";
  if (tag === "TD" || tag === "TH") {
    told.row = parentNodeOf(element)?.rowIndex ?? 0;
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

const isDisabled = (element) => matches(element, ":disabled") || attributeOf(element, "aria-disabled") === "true" || closest(element, "[inert]") !== null;

const OPERATED = new Set(["INPUT", "SELECT", "TEXTAREA", "BUTTON", "IMG", "CANVAS", "IFRAME", "FRAME", "SUMMARY"]);
const worthTelling = (element, style) => {
  const tag = tagOf(element);
  if (OPERATED.has(tag)) return tag !== "INPUT" || element.type !== "hidden";
  if (isSvgPart(element)) return SHAPES.has(tag.toLowerCase());
  if ((tag === "A" && hasAttribute(element, "href")) || (tag === "OBJECT" && frameDocument(element))) return true;
  // A list says what the label around it says.
  if (tag === "LABEL" && element.control && tagOf(element.control) === "SELECT" && element.contains(element.control)) return false;
  if (hasOwnText(element)) return true;
  const up = flatParent(element);
  // A container is described by its content.
  if (hasAttribute(element, "role") || isEditable(element)) return flatChildren(element).length === 0 || ACTIVE.has(roleOf(element, style));
  if (style.cursor === "pointer" && getComputedStyle(up ?? element).cursor !== "pointer") return true;
  // A coloured area without text.
  return flatChildren(element).length === 0 && colorOf(element, style) !== "" && boxOf(element).width < innerWidth / 2;
};

// An inline element is part of its parent's text, unless it can be operated.
const isWithinText = (element, style) => {
  if (!INLINE.has(tagOf(element)) || isSvgPart(element) || style.cursor === "pointer" || hasAttribute(element, "href") || hasAttribute(element, "role")) return false;
  const up = flatParent(element);
  return Boolean(up) && hasOwnText(up) && isVisible(up) && colorOf(element, style) === "";
};

const see = () => {
  forget();
  const told = [];
  let more = 0, unreadable = 0;
  const focused = focusedElement();
  const whole = walk(settings.ignored, settings.visits, (element, style) => {
    try {
      if (element === bodyOf(documentOf(element)) && !hasOwnText(element)) return;
      if (!worthTelling(element, style) || isWithinText(element, style)) return;
      // An element past the limit is counted; its place is not needed.
      if (told.length >= settings.most) { if (isVisible(element)) more += 1; return; }
      const box = rendered(element);
      if (!box) return;
      told.push(describe(element, style, box, seen(element, box), focused));
    } catch { unreadable += 1; }
  });
  const top = topElementOf(document);
  return {
    url: location.href,
    title: cut(clean(titleOf(document)), 400),
    focus: focused && focused !== bodyOf(document) ? idOf(focused) : "",
    elements: told,
    more,
    // Elements that are left out although they may be visible: those past the limit, and those that cannot be read.
    ...(whole ? {} : { unvisited: true }),
    ...(unreadable > 0 ? { unreadable } : {}),
    scroll: { y: Math.round(scrollY), most: Math.max(0, (top?.scrollHeight ?? 0) - innerHeight) },
  };
};

// All text of the page, and its length before it was cut.
const text = (most) => {
  forget();
  const parts = [];
  const add = (doc) => {
    const body = bodyOf(doc);
    if (!body) return;
    parts.push(hasShadows(body) ? flatText(body) : innerTextGetter(body));
    for (const element of allIn(doc)) {
      const page = frameDocument(element);
      if (page && rendered(element)) add(page);
    }
  };
  add(document);
  const words = clean(parts.join(" "));
  return { text: cut(words, most), length: words.length };
};

// A value without halves of characters.
const plain = (value) => {
  if (typeof value === "string") return value.toWellFormed();
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
};
