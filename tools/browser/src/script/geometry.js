// Where elements are, in pixels from the left and top of the viewport of the whole page.

// What was computed during the present call: `places` of documents, `clips` of elements, `alike` of siblings, `shadows` of documents.
let places, clips, alike, shadows;
const forget = () => { places = new Map(); clips = new Map(); alike = new Map(); shadows = new Map(); };

const WHOLE = { left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity };
const intersection = (a, b) => ({
  left: Math.max(a.left, b.left), top: Math.max(a.top, b.top), right: Math.min(a.right, b.right), bottom: Math.min(a.bottom, b.bottom),
});

// Where the viewport of a document lies, how it is scaled, and the part of it that is in view.
const placeOf = (inner) => {
  let place = places.get(inner);
  if (place) return place;
  const frame = frameAround(inner);
  if (!frame) place = { left: 0, top: 0, scale: 1, view: { left: 0, top: 0, right: innerWidth, bottom: innerHeight } };
  else {
    const style = getComputedStyle(frame), outer = onPage(frame, boxOf(frame));
    const scale = (frame.offsetWidth > 0 ? boxOf(frame).width / frame.offsetWidth : 1) * placeOf(documentOf(frame)).scale;
    const left = outer.left + (frame.clientLeft + (parseFloat(style.paddingLeft) || 0)) * scale;
    const top = outer.top + (frame.clientTop + (parseFloat(style.paddingTop) || 0)) * scale;
    const { innerWidth: width, innerHeight: height } = windowOf(inner);
    const own = { left, top, right: left + width * scale, bottom: top + height * scale };
    place = { left, top, scale, view: intersection(own, inView(frame)) };
  }
  places.set(inner, place);
  return place;
};
// A box of an element in the coordinates of the whole page.
const onPage = (element, box) => {
  const { left, top, scale } = placeOf(documentOf(element));
  if (left === 0 && top === 0 && scale === 1) return box;
  return { left: left + box.left * scale, top: top + box.top * scale, right: left + box.right * scale, bottom: top + box.bottom * scale, width: box.width * scale, height: box.height * scale };
};

// Whether fixed elements within are placed by this element, and not by the viewport.
const holdsFixed = (style) => style.transform !== "none" || style.perspective !== "none" || style.filter !== "none"
  || (style.translate ?? "none") !== "none" || (style.rotate ?? "none") !== "none" || (style.scale ?? "none") !== "none"
  || (style.backdropFilter ?? "none") !== "none" || /transform|perspective|filter|translate|rotate|scale/.test(style.willChange)
  || /paint|layout|strict|content/.test(style.contain) || (style.containerType ?? "normal") !== "normal" && /size/.test(style.containerType)
  || style.contentVisibility === "auto";
const isInTopLayer = (element) => matches(element, ":modal, :popover-open, :fullscreen");

// The element whose box places this one; null where the viewport does.
const containerOf = (element) => {
  const body = bodyOf(documentOf(element)), top = topElementOf(documentOf(element));
  const position = getComputedStyle(element).position;
  if (position === "fixed" || position === "absolute") {
    if (isInTopLayer(element)) return null;
    for (let up = flatParent(element); up && up !== body && up !== top; up = flatParent(up)) {
      const style = getComputedStyle(up);
      if (holdsFixed(style) || (position === "absolute" && style.position !== "static")) return up;
    }
    return null;
  }
  const up = flatParent(element);
  return up === body || up === top ? null : up;
};
// The part of the page in which the content of an element can be seen.
const clipOf = (element) => {
  const chain = [];
  let up = element;
  for (; up && !clips.has(up); up = containerOf(up)) chain.push(up);
  let clip = up ? clips.get(up) : WHOLE;
  while (chain.length > 0) {
    const next = chain.pop(), style = getComputedStyle(next);
    if ((style.display !== "inline" || !isHtml(next)) && style.display !== "contents" && (style.overflowX !== "visible" || style.overflowY !== "visible")) {
      const box = onPage(next, boxOf(next));
      const across = style.overflowX === "visible" ? {} : { left: box.left, right: box.right };
      const down = style.overflowY === "visible" ? {} : { top: box.top, bottom: box.bottom };
      clip = intersection(clip, { ...WHOLE, ...across, ...down });
    }
    clips.set(next, clip);
  }
  return clip;
};
// Where an element may be in view: within the viewport and everything that scrolls around it.
const inView = (element) => {
  const container = containerOf(element);
  const { view } = placeOf(documentOf(element));
  return container ? intersection(view, clipOf(container)) : view;
};

const isVisible = (element) => checkVisibility(element, { visibilityProperty: true, opacityProperty: true });

// The box of an element that is shown, or null.
const rendered = (element) => {
  const box = boxOf(element);
  if (box.width > 0 && box.height > 0) return isVisible(element) ? onPage(element, box) : null;
  if (getComputedStyle(element).display !== "contents" || getComputedStyle(element).visibility !== "visible") return null;
  // An element without a box of its own is where its content is.
  const range = rangeIn(documentOf(element));
  range.selectNodeContents(element);
  const inner = range.getBoundingClientRect();
  return inner.width > 0 && inner.height > 0 ? onPage(element, inner) : null;
};

// The part of `box` in view, or null.
const seen = (element, box) => {
  const part = intersection(box, inView(element));
  return part.right > part.left && part.bottom > part.top ? { left: part.left, top: part.top, right: part.right, bottom: part.bottom } : null;
};

// The innermost element at a point.
const elementAt = (x, y) => {
  let doc = document, found = null;
  for (;;) {
    const place = placeOf(doc), within = [(x - place.left) / place.scale, (y - place.top) / place.scale];
    let element = elementFromPoint(doc, ...within);
    for (let root = element && shadowOf(element); root; root = shadowOf(element)) {
      const inner = root.elementFromPoint(...within);
      if (!inner || inner === element) break;
      element = inner;
    }
    if (!element) return found;
    found = element;
    const page = frameDocument(element);
    if (!page) return found;
    doc = page;
  }
};
