// The words of elements: their visible texts, roles, names and colours.

// Text in one line, without control characters.
const clean = (text) => (text || "").replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ").trim();
// At most `most` characters (UTF-16 units), without half a character at the end.
const cut = (text, most) => text.length > most ? text.slice(0, most).toWellFormed().replace(/\ufffd$/, "") : text;

const INLINE = new Set(["A", "ABBR", "B", "BR", "CODE", "EM", "FONT", "I", "MARK", "SMALL", "SPAN", "STRONG", "SUB", "SUP", "U"]);
const SHAPES = new Set(["circle", "rect", "polygon", "polyline", "ellipse", "path", "line", "text"]);
const TYPED = new Set(["text", "search", "email", "url", "tel", "password", "number", ""]);
const FIELDS = new Set(["INPUT", "SELECT", "TEXTAREA"]);

const ownText = (element) => {
  let text = "";
  for (const node of flatNodes(element)) if (isText(node)) text += node.data;
  return clean(text);
};
const hasOwnText = (element) => flatNodes(element).some((node) => isText(node) && /\S/.test(node.data));

// Limit on the text that is put together, in characters.
const LONGEST = 2_000_000;
// The text that is shown in the flat tree below an element, like `innerText`, which does not follow slots.
const flatText = (element) => {
  let text = "";
  const open = [element];
  while (open.length > 0 && text.length < LONGEST) {
    const node = open.pop();
    if (typeof node === "string") text += node;
    else if (isText(node)) text += textIn(node);
    else if (isElement(node) && !SKIPPED.has(tagOf(node))) {
      const { display } = getComputedStyle(node);
      if (display === "none") continue;
      const apart = display.startsWith("inline") || display === "contents" ? "" : " ";
      text += tagOf(node) === "BR" ? " " : apart;
      if (apart) open.push(apart);
      const inner = flatNodes(node);
      for (let at = inner.length - 1; at >= 0; at--) open.push(inner[at]);
    }
  }
  return text;
};
const textIn = (node) => {
  const around = flatParent(node);
  const style = around && getComputedStyle(around);
  if (!style || style.visibility !== "visible") return "";
  switch (style.textTransform) {
    case "uppercase": return node.data.toUpperCase();
    case "lowercase": return node.data.toLowerCase();
    case "capitalize": return node.data.replace(/(^|[\s\p{P}])(\p{L})/gu, (_, before, letter) => before + letter.toUpperCase());
    default: return node.data;
  }
};

// Whether shadow roots may stand within an element, so that `innerText` would not tell all of it.
const hasShadows = (element) => {
  const doc = documentOf(element);
  if (!shadows.has(doc)) shadows.set(doc, [...allIn(doc)].some((one) => shadowOf(one) !== null));
  return shadows.get(doc);
};
// The words that are read on an element.
const shownText = (element) => hasShadows(element) ? flatText(element) : isHtml(element) ? innerTextGetter(element) : textContentOf(element);

// The text of an element that reads as one piece: text nodes and inline elements.
const reading = (element) => {
  if (flatChildren(element).some((child) => !INLINE.has(tagOf(child)))) return ownText(element);
  return clean(shownText(element));
};

// The roles of WAI-ARIA 1.2 that a page may name, without the abstract ones. Anything else is no role.
const ARIA_ROLES = new Set((
  "alert alertdialog application article banner blockquote button caption cell checkbox code columnheader combobox complementary contentinfo "
  + "definition deletion dialog directory document emphasis feed figure form generic grid gridcell group heading img image insertion link list "
  + "listbox listitem log main marquee math menu menubar menuitem menuitemcheckbox menuitemradio meter navigation none note option paragraph "
  + "presentation progressbar radio radiogroup region row rowgroup rowheader scrollbar search searchbox separator slider spinbutton status "
  + "strong subscript superscript switch tab table tablist tabpanel term textbox time timer toolbar tooltip tree treegrid treeitem").split(" "));
const givenRole = (element) => {
  const named = (attributeOf(element, "role") ?? "").toLowerCase().split(/\s+/);
  return named.find((role) => ARIA_ROLES.has(role)) ?? "";
};

const roleOf = (element, style) => {
  const role = givenRole(element);
  if (role && role !== "presentation" && role !== "none") return role;
  const tag = tagOf(element).toLowerCase();
  switch (tag) {
    case "a": return hasAttribute(element, "href") || style.cursor === "pointer" ? "link" : "text";
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
    case "iframe": case "frame": return "frame";
    case "object": if (frameDocument(element)) return "frame"; break;
    default:
  }
  if (isSvgPart(element) && SHAPES.has(tag)) return tag;
  const up = flatParent(element);
  if (isEditable(element) && !(up && isEditable(up))) return "textbox";
  return style.cursor === "pointer" && getComputedStyle(up ?? element).cursor !== "pointer" ? "clickable" : "text";
};

// The words of a label, without the options of a list in it.
const labelText = (label) => hasShadows(label) || label.querySelector("select") ? flatText(label) : innerTextGetter(label);

const before = (element) => {
  for (let node = element.previousSibling; node; node = node.previousSibling) {
    if (isText(node) && clean(node.data)) return clean(node.data);
    if (!isElement(node) || SKIPPED.has(tagOf(node))) continue;
    if (FIELDS.has(tagOf(node)) || tagOf(node) === "BUTTON") return "";
    if (isHtml(node) && clean(innerTextGetter(node))) return clean(innerTextGetter(node));
  }
  return "";
};

// The text that pictures and labelled parts within an element stand for.
const spokenWithin = (element) => {
  const parts = [];
  const open = flatChildren(element).slice(0, 200).reverse();
  for (let visited = 0; open.length > 0 && visited < 200; visited++) {
    const part = open.pop();
    if (SKIPPED.has(tagOf(part)) || getComputedStyle(part).display === "none") continue;
    const label = clean(attributeOf(part, "aria-label"))
      || (tagOf(part) === "IMG" ? clean(part.alt) : tagOf(part) === "title" ? clean(textContentOf(part)) : "");
    if (label) parts.push(label);
    else open.push(...flatChildren(part).slice(0, 200).reverse());
  }
  return parts.join(" ");
};

// Roles that are named by all of their content. Those in the second set are not where something else in them is operated.
const PRESSED = new Set(["button", "link", "clickable"]);
const CHOSEN = new Set(["tab", "menuitem", "menuitemcheckbox", "menuitemradio", "option", "switch", "treeitem"]);
const isNamedByContent = (element, role) => PRESSED.has(role)
  || (CHOSEN.has(role) && !element.querySelector("button, input, select, textarea, a[href]"));

const nameOf = (element, role) => {
  const by = attributeOf(element, "aria-labelledby");
  if (by) {
    const root = rootOf(element);
    const words = clean(by.split(/\s+/).slice(0, 20).map((id) => byId(root, id)).filter(Boolean).map((label) => clean(attributeOf(label, "aria-label")) || textContentOf(label)).join(" "));
    if (words) return words;
  }
  const given = clean(attributeOf(element, "aria-label"));
  if (given) return given;
  const tag = tagOf(element);
  const title = isHtml(element) ? clean(titleAttributeOf(element)) : "";
  if (tag === "INPUT" && role === "button") return clean(element.value || element.alt || title) || { submit: "Submit", reset: "Reset" }[element.type] || "button";
  if (FIELDS.has(tag)) {
    const labels = clean([...(element.labels ?? [])].map(labelText).join(" "));
    if (labels) return labels;
    const hint = clean(element.placeholder || title);
    if (hint) return hint;
    const after = role === "checkbox" || role === "radio" ? clean(element.nextSibling && textContentOf(element.nextSibling)) : "";
    return after || before(element) || clean(element.name || element.id);
  }
  if (tag === "IMG") return clean(element.alt || title);
  if (role === "frame") return title || clean(attributeOf(element, "name"));
  const text = isNamedByContent(element, role) ? clean(shownText(element)) : reading(element);
  if (text) return text;
  const spoken = ACTIVE.has(role) || tag === "A" ? spokenWithin(element) : "";
  if (spoken || title) return spoken || title;
  const classes = attributeOf(element, "class") ?? "";
  return role === "clickable" || role === "button" || role === "link" ? clean(classes.replace(/[-_]/g, " ")) : "";
};

// A name for a CSS colour, by hue unless it is grey.
const colorWord = (css) => {
  const named = /^[a-z]+$/.test(css) && css !== "none" && css !== "transparent" && css !== "inherit" && css !== "currentcolor";
  if (named) return cut(css, 30);
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
  if (isSvgPart(element)) {
    const fill = colorWord(attributeOf(element, "fill") ?? "") || colorWord(style.fill);
    return fill || colorWord(style.stroke);
  }
  const back = colorWord(style.backgroundColor);
  return back === "white" ? "" : back;
};
