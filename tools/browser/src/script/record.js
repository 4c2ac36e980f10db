// What a person does on the page, in the words of the agent: each action with the page as it was before.
//
// Only what the browser itself makes of keys and pointer is taken. Events that a page dispatches are not trusted; those that follow
// of its calls (`label.click()`, `execCommand`) may be, so an action also needs a press or a key of its own.
const record = () => {
  const tell = (action) => globalThis.sojournTell?.(JSON.stringify(plain(action)));
  const target = (event) => event.composedPath()[0];
  // Fields whose content is private; one that a page makes readable later stays private.
  const PRIVATE = /\b(current-password|new-password|one-time-code|cc-number|cc-csc)\b/;
  const kept = new WeakSet();
  const isPrivate = (field) => {
    const masked = !["", "none", undefined].includes(getComputedStyle(field).webkitTextSecurity);
    if (masked || (tagOf(field) === "INPUT" && (field.type === "password" || PRIVATE.test(attributeOf(field, "autocomplete") ?? "")))) kept.add(field);
    return kept.has(field);
  };
  const BUTTONS = new Set(["button", "submit", "reset", "image", "checkbox", "radio", "file", "hidden"]);
  const editable = (element) => {
    let root = element;
    while (root && isElement(root) && isEditable(root) && flatParent(root) && isEditable(flatParent(root))) root = flatParent(root);
    return root && isElement(root) && isEditable(root) ? root : null;
  };
  // The field that an event is about, or null: what `type` and `select` are for.
  const fieldOf = (element) => {
    if (!isElement(element)) return null;
    const tag = tagOf(element);
    if (tag === "INPUT" ? !BUTTONS.has(element.type) && !element.readOnly : tag === "TEXTAREA" ? !element.readOnly : tag === "SELECT") return element;
    if (tag === "OPTION") return closest(element, "select");
    return editable(element);
  };
  const isList = (field) => tagOf(field) === "SELECT";
  const isWritten = (field) => !isList(field) && (tagOf(field) !== "INPUT" || TYPED.has(field.type));
  const valueOf = (field) => FIELDS.has(tagOf(field)) ? field.value : clean(shownText(field));

  const look = () => { try { return see(); } catch { return null; } };
  // The element of `view` that an action on `element` is about: what is operated around it, else the innermost that is listed.
  const named = (element, view) => {
    const listed = new Map((view?.elements ?? []).map((one) => [one.id, one]));
    let innermost = null;
    for (let up = element; up && isElement(up); up = flatParent(up) ?? frameAround(documentOf(up))) {
      const one = listed.get(ids.get(up));
      if (!one) continue;
      if (ACTIVE.has(one.role)) return one.id;
      // A label stands for what it labels, where that is listed.
      if (tagOf(up) === "LABEL" && up.control && listed.has(ids.get(up.control))) return ids.get(up.control);
      innermost ??= one.id;
    }
    return innermost;
  };
  const act = (tool, element, view, more) => tell({ tool, id: element ? named(element, view) : null, aimed: Boolean(element), view, ...more });

  let press = null, key = null, typing = null;
  // Reports what was typed or chosen in the field that is left. A field that was only clicked is reported where something appeared
  // by that, which is acted on next.
  const flush = (next, view) => {
    const done = typing;
    typing = null;
    if (!done) return;
    if (done.text !== null) act(isList(done.field) ? "select" : "type", done.field, done.view, { text: done.text, secret: isPrivate(done.field), covered: tagOf(done.field) === "INPUT" && done.field.type === "password" });
    else if (done.clicked && next && view) {
      const id = named(next, view);
      if (id && !done.view?.elements.some((one) => one.id === id)) act("click", done.field, done.view);
    }
  };
  const begin = (field, clicked) => {
    if (typing?.field !== field) { flush(); typing = { field, view: look(), text: null, meant: false, clicked: false }; }
    typing.clicked ||= clicked;
    isPrivate(field);
  };

  const handlers = {
    pointerdown(event) {
      if (event.button !== 0) return;
      const element = target(event), field = fieldOf(element), view = look();
      if (field !== typing?.field) flush(element, view);
      press = { element, view, x: event.clientX, y: event.clientY };
      if (field) { begin(field, true); if (!isWritten(field)) typing.meant = true; }
    },
    pointerup(event) {
      if (!press || event.button !== 0) return;
      const over = target(event), moved = Math.hypot(event.clientX - press.x, event.clientY - press.y);
      const from = named(press.element, press.view), to = named(over, press.view);
      if (moved < 8 || !from || !to || from === to || fieldOf(press.element)) return;
      const { element, view } = press;
      press = null;
      act("drag", element, view, { to });
    },
    click(event) {
      const element = target(event);
      if (press) {
        const { view } = press;
        press = null;
        if (!fieldOf(element) && tagOf(element) !== "OPTION") act("click", element, view);
      } else if (key && flatContains(key.element, element) && ["Enter", " "].includes(key.key)) {
        const { view } = key;
        key = null;
        act("click", element, view);
      }
    },
    keydown(event) {
      if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
      const element = target(event), field = fieldOf(element), name = event.key;
      press = null;
      const told = () => { flush(); act("press", null, look(), { text: name }); };
      if (name === "Enter" && field && !isList(field) && tagOf(field) !== "TEXTAREA" && !editable(field)) { key = null; return told(); }
      if (name === "Escape") { key = null; return told(); }
      if (field) {
        begin(field, false);
        if (name.length === 1 || ["Backspace", "Delete", "Enter"].includes(name) || !isWritten(field)) typing.meant = true;
        // The keys by which one goes through suggestions.
        if (isWritten(field) && ["ArrowDown", "ArrowUp"].includes(name) && tagOf(field) === "INPUT") told();
        return;
      }
      const own = tagOf(element) === "INPUT" && element.type === "radio";
      if (/^(Arrow(Up|Down|Left|Right)|Page(Up|Down)|Home|End)$/.test(name) && !own) return told();
      if (["Enter", " "].includes(name)) { flush(); key = { element, key: name, view: look() }; }
    },
    beforeinput(event) { const field = fieldOf(target(event)); if (field) { begin(field, false); typing.meant = true; } },
    paste(event) { handlers.beforeinput(event); },
    drop(event) { handlers.beforeinput(event); },
    focusin(event) { const field = fieldOf(target(event)); if (field) begin(field, false); },
    input(event) {
      const field = fieldOf(target(event));
      if (!field || typing?.field !== field || !typing.meant || isList(field)) return;
      typing.text = valueOf(field);
    },
    change(event) {
      const field = fieldOf(target(event));
      if (!field) return;
      if (typing?.field === field && typing.meant && isList(field)) {
        const chosen = optionsOf(field).filter((one) => one.option.selected), was = typing.view?.elements.find((one) => one.id === ids.get(field))?.value ?? "";
        const fresh = chosen.find((one) => !was.split(", ").includes(one.label)) ?? chosen[0];
        if (fresh) { typing.text = fresh.label; }
      }
      flush();
    },
    pagehide() { flush(); },
  };
  const heard = new WeakSet();
  const hear = (page) => {
    const view = windowOf(page);
    if (!view || heard.has(page)) return;
    heard.add(page);
    for (const [kind, handle] of Object.entries(handlers)) {
      view.addEventListener(kind, (event) => {
        if (!event.isTrusted) return;
        try { handle(event); } catch (error) { tell({ tool: "", error: cut(String(error), 200) }); }
      }, { capture: true, passive: true });
    }
  };
  hear(document);
  // Frames of the same origin, as they come.
  setInterval(() => { for (const root of roots()) if (isDocument(root)) hear(root); }, 250);
  globalThis.sojournFlush = () => flush();
};
