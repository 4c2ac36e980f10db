// Actions that a script carries out: filling fields, choosing options, scrolling, selecting text.

const changed = (element) => {
  element.dispatchEvent(new Event("input", { bubbles: true }));
  element.dispatchEvent(new Event("change", { bubbles: true }));
};

// Converts month/day/year to the format of a date field.
const asDay = (text) => {
  const parts = /^\s*(\d{1,2})\/(\d{1,2})\/(\d{4})\s*$/.exec(text);
  return parts ? `${parts[3]}-${parts[1].padStart(2, "0")}-${parts[2].padStart(2, "0")}` : text;
};

const setValue = (element, value) => {
  const { set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  Reflect.apply(set, element, [value]);
};

// Focuses a field and selects its content, so that typing replaces it.
const prepare = (target, text) => {
  forget();
  const { element, error } = find(target, WANTED.type);
  // Models easily swap field and text.
  if (error && text && find(text, WANTED.type).element) return { error: `${error}; the field comes first, then the text` };
  if (error) return { error };
  const what = nearText(element, roleOf(element, getComputedStyle(element)));
  if (isDisabled(element) || element.readOnly) return { error: `${what} cannot be typed into` };
  scrollIntoView(element, { block: "nearest", behavior: "instant" });
  const tag = tagOf(element);
  if (tag === "INPUT" && !TYPED.has(element.type)) {
    const types = ["date", "time", "color", "month", "week", "datetime-local", "range"];
    if (!types.includes(element.type)) return { error: `${what} is not for typing: it is a ${element.type}` };
    element.focus();
    setValue(element, element.type === "date" ? asDay(text) : text);
    if (element.value === "" && text !== "") return { error: `${what} does not take "${text}"; a ${element.type} is written like ${element.type === "date" ? "2024-12-31 or 12/31/2024" : "its value"}` };
    changed(element);
    return { what, set: true };
  }
  if (tag !== "INPUT" && tag !== "TEXTAREA" && !isEditable(element)) return { error: `${what} is not a field for text` };
  element.focus();
  if (element.select) element.select();
  else windowOf(documentOf(element)).getSelection().selectAllChildren(element);
  const field = { name: nameOf(element, roleOf(element, getComputedStyle(element))), password: tag === "INPUT" && element.type === "password", top: documentOf(element) === document };
  return { what, focused: focusedElement() === element, ...field, url: location.href };
};

// Says which options there are, not more than a line of them.
const optionsInWords = (labels) => labels.slice(0, 12).join(", ") + (labels.length > 12 ? ` and ${labels.length - 12} more` : "");

const choose = (target, wanted) => {
  forget();
  const { element, error } = find(target, WANTED.select);
  if (error) return { error };
  const what = nearText(element, roleOf(element, getComputedStyle(element)));
  if (tagOf(element) !== "SELECT") return { error: `${what} has no options of its own: click it, then click what appears` };
  if (isDisabled(element)) return { error: `${what} is disabled` };
  const words = clean(wanted), low = words.toLowerCase();
  const options = optionsOf(element);
  const called = [(one) => one.label === words, (one) => one.words === words, (one) => one.label.toLowerCase() === low, (one) => one.words.toLowerCase() === low, (one) => one.option.value === wanted];
  const meant = called.map((is) => options.filter(is)).find((found) => found.length > 0) ?? [];
  const enabled = meant.filter((one) => !one.disabled);
  if (meant.length === 0) return { error: `${what} has no option "${cut(wanted, 200)}"; it has ${optionsInWords(options.filter((one) => !one.disabled).map((one) => one.label))}` };
  if (enabled.length === 0) return { error: `the option "${meant[0].label}" of ${what} is disabled` };
  const [one, other] = enabled;
  if (other && other.label !== one.label) return { error: `${what} has several options "${words}": ${optionsInWords(enabled.map((one) => one.label))}` };
  element.focus();
  one.option.selected = true;
  changed(element);
  return { what };
};

const scroll = (target, down) => {
  forget();
  let element = scrollingElementOf(document) ?? topElementOf(document);
  if (target) {
    const found = find(target, null);
    if (found.error) return found;
    element = found.element;
    const scrolls = (one) => one.scrollHeight > one.clientHeight + 1 && !["visible", "hidden", "clip"].includes(getComputedStyle(one).overflowY);
    while (element && !scrolls(element) && tagOf(element) !== "TEXTAREA") element = flatParent(element);
    element ??= scrollingElementOf(documentOf(found.element)) ?? topElementOf(documentOf(found.element));
  }
  const was = element.scrollTop;
  scrollBy(element, { top: down, behavior: "instant" });
  return element.scrollTop === was ? { error: "it does not scroll any further" } : { what: "the page" };
};

// Selects a substring of an element's text, or all of it.
const mark = (target, text) => {
  forget();
  const { element, error } = find(target, null);
  if (error) return { error };
  const doc = documentOf(element), selection = windowOf(doc).getSelection();
  const walker = method(Document, "createTreeWalker")(doc, element, NodeFilter.SHOW_TEXT);
  const range = rangeIn(doc);
  if (!text) range.selectNodeContents(element);
  else {
    let found = false;
    while (!found && walker.nextNode()) {
      const at = walker.currentNode.data.indexOf(text);
      if (at >= 0) { range.setStart(walker.currentNode, at); range.setEnd(walker.currentNode, at + text.length); found = true; }
    }
    if (!found) return { error: `"${cut(text, 60)}" does not stand in it` };
  }
  selection.removeAllRanges();
  selection.addRange(range);
  doc.dispatchEvent(new Event("selectionchange"));
  element.dispatchEvent(new MouseEvent("mouseup", { bubbles: true }));
  return { what: `the text "${cut(clean(range.toString()), 60)}"` };
};
