// The document as it is shown: elements in the order of the flat tree, across shadow roots, slots and frames.

// Properties are read through their prototypes: a form answers `form.id` with its control of that name, and a document
// `document.title` with an image of that name.
const getter = (owner, name) => {
  const { get } = Object.getOwnPropertyDescriptor(owner.prototype, name);
  return (node) => Reflect.apply(get, node, []);
};
const method = (owner, name) => {
  const own = owner.prototype[name];
  return (node, ...args) => Reflect.apply(own, node, args);
};
const tagNameOf = getter(Element, "tagName"), namespaceOf = getter(Element, "namespaceURI");
const idAttributeOf = getter(Element, "id"), openRootOf = getter(Element, "shadowRoot");
const elementSlotOf = getter(Element, "assignedSlot"), textSlotOf = getter(Text, "assignedSlot");
const attributeOf = method(Element, "getAttribute"), hasAttribute = method(Element, "hasAttribute");
const matches = method(Element, "matches"), closest = method(Element, "closest"), boxOf = method(Element, "getBoundingClientRect");
const scrollIntoView = method(Element, "scrollIntoView"), scrollBy = method(Element, "scrollBy");
const checkVisibility = method(Element, "checkVisibility"), firstChildOf = getter(Node, "firstChild");
const nextSiblingOf = getter(Node, "nextSibling"), nodeTypeOf = getter(Node, "nodeType"), parentNodeOf = getter(Node, "parentNode"), documentOf = getter(Node, "ownerDocument");
const isConnected = getter(Node, "isConnected"), textContentOf = getter(Node, "textContent"), rootOf = method(Node, "getRootNode");
const innerTextGetter = getter(HTMLElement, "innerText"), titleAttributeOf = getter(HTMLElement, "title");
const isEditableGetter = getter(HTMLElement, "isContentEditable");
const bodyOf = getter(Document, "body"), topElementOf = getter(Document, "documentElement"), titleOf = getter(Document, "title");
const windowOf = getter(Document, "defaultView"), scrollingElementOf = getter(Document, "scrollingElement");
const readyStateOf = getter(Document, "readyState"), activeOf = getter(Document, "activeElement");
const animationsOf = method(Document, "getAnimations"), elementFromPoint = method(Document, "elementFromPoint");
const rangeIn = method(Document, "createRange"), allInDocument = method(Document, "querySelectorAll"),
  byIdInDocument = method(Document, "getElementById");
const isDocument = (root) => nodeTypeOf(root) === Node.DOCUMENT_NODE;
const allIn = (root) => isDocument(root) ? allInDocument(root, "*") : root.querySelectorAll("*");
const byId = (root, id) => isDocument(root) ? byIdInDocument(root, id) : root.getElementById?.(id) ?? null;

const HTML = "http://www.w3.org/1999/xhtml";
const isElement = (node) => nodeTypeOf(node) === Node.ELEMENT_NODE;
const isText = (node) => nodeTypeOf(node) === Node.TEXT_NODE;
const isHtml = (element) => namespaceOf(element) === HTML;
const isEditable = (element) => isHtml(element) && isEditableGetter(element);
const isSvgPart = (element) => Boolean(element.ownerSVGElement) && !isHtml(element);
// In capitals for HTML, whether the document is HTML or XML.
const tagOf = (element) => isHtml(element) ? tagNameOf(element).toUpperCase() : tagNameOf(element);

const SKIPPED = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "HEAD", "META", "LINK", "OPTION", "OPTGROUP"]);
// Elements whose `contentDocument` is a page of its own.
const FRAMES = { IFRAME: getter(HTMLIFrameElement, "contentDocument"), FRAME: getter(HTMLFrameElement, "contentDocument"), OBJECT: getter(HTMLObjectElement, "contentDocument") };

// The document in a frame, or null where it is of another origin.
const frameDocument = (element) => {
  const read = FRAMES[tagOf(element)];
  if (!read) return null;
  const inner = read(element);
  return inner && bodyOf(inner) ? inner : null;
};

// Closed shadow roots, which the driver reveals.
const closedRoots = new WeakMap();
const shadowOf = (element) => openRootOf(element) ?? closedRoots.get(element) ?? null;

const isSlot = (node) => isElement(node) && isHtml(node) && tagOf(node) === "SLOT";
// The nodes that a slot shows: those assigned to it, or else its own children.
const slotted = (slot) => slot.assignedNodes({ flatten: true });

// The child nodes in the flat tree. A slot is replaced by what it shows, since it has no box of its own.
const flatNodes = (element) => {
  const root = shadowOf(element), nodes = [];
  const slots = root || !isDocument(rootOf(element));
  // Walking from sibling to sibling is many times faster than a list of nodes for each element.
  for (let node = firstChildOf(root ?? element); node; node = nextSiblingOf(node)) {
    if (slots && isSlot(node)) for (const shown of slotted(node)) nodes.push(shown);
    else nodes.push(node);
  }
  return nodes;
};
const flatChildren = (element) => flatNodes(element).filter(isElement);

const slotOf = (node) => isElement(node) ? elementSlotOf(node) : isText(node) ? textSlotOf(node) : null;
// The slot of a closed root that shows an element.
const closedSlotOf = (element) => {
  const host = parentNodeOf(element);
  const root = host && closedRoots.get(host);
  return root ? [...root.querySelectorAll("slot")].find((slot) => slotted(slot).includes(element)) : null;
};
// The parent in the flat tree; null for the root of a document.
const flatParent = (element) => {
  let up = slotOf(element) ?? closedSlotOf(element) ?? parentNodeOf(element);
  while (up) {
    if (nodeTypeOf(up) === Node.DOCUMENT_NODE) return null;
    if (nodeTypeOf(up) === Node.DOCUMENT_FRAGMENT_NODE) up = up.host ?? null;
    else if (isSlot(up)) up = slotOf(up) ?? parentNodeOf(up);
    else return up;
  }
  return null;
};
const flatContains = (outer, inner) => {
  for (let up = inner; up; up = flatParent(up)) if (up === outer) return true;
  return false;
};

// The frame element around a document, or null for the page itself and for a document that is shown no more.
const frameAround = (inner) => inner === document ? null : windowOf(inner)?.frameElement ?? null;
const isShown = (inner) => {
  for (let doc = inner; doc !== document; ) {
    const frame = frameAround(doc);
    if (!frame || frameDocument(frame) !== doc || !isConnected(frame)) return false;
    doc = documentOf(frame);
  }
  return true;
};

// Limit on the elements that are searched for something.
const SEARCHED = 1_000_000;

// Every document and shadow root that can be read.
const roots = () => {
  const found = [document];
  let searched = 0;
  for (let at = 0; at < found.length; at++) {
    for (const element of allIn(found[at])) {
      searched += 1;
      if (searched > SEARCHED) return found;
      const inner = shadowOf(element) ?? frameDocument(element);
      if (inner) found.push(inner);
    }
  }
  return found;
};

// Elements that may have a closed shadow root: custom elements, and empty ones that take up room. Each is examined once.
const HOSTS = new Set(["ARTICLE", "ASIDE", "DIV", "FOOTER", "HEADER", "MAIN", "NAV", "SECTION", "SPAN"]);
const examined = new WeakSet();
let unknowns = [];
const unknown = (most) => {
  unknowns = [];
  for (const root of roots()) {
    for (const element of allIn(root)) {
      if (unknowns.length >= most) return most;
      if (!isHtml(element) || shadowOf(element) || examined.has(element)) continue;
      const tag = tagOf(element);
      if (!tag.includes("-") && !(HOSTS.has(tag) && !firstChildOf(element) && boxOf(element).height > 0)) continue;
      examined.add(element);
      unknowns.push(element);
    }
  }
  return unknowns.length;
};

// Calls `visit` for every element that is not hidden with all of its content, in the order of the page. Ends after `most`
// elements, or when `visit` returns false; returns whether it came to the end.
const walk = (ignored, most, visit) => {
  const body = bodyOf(document);
  const open = body ? [body] : [];
  let visited = 0;
  while (open.length > 0) {
    const element = open.pop();
    if (SKIPPED.has(tagOf(element)) || (ignored && matches(element, ignored))) continue;
    const style = getComputedStyle(element);
    if (style.display === "none") continue;
    if (visited >= most) return false;
    visited += 1;
    if (visit(element, style) === false) return true;
    const page = frameDocument(element);
    const inner = page ? [bodyOf(page)] : flatChildren(element);
    for (let i = inner.length - 1; i >= 0; i--) open.push(inner[i]);
  }
  return true;
};
