// The functions that the driver calls. Their results hold no halves of characters, which JSON cannot carry.

const called = (act) => (...given) => {
  try { return plain(act(...given)); } catch (error) { return { error: plain(cut(String(error), 300)) }; }
};

// The elements of the page, or how many elements are to be examined for closed shadow roots first.
const look = (most) => {
  const count = unknown(most);
  return count > 0 ? { unknown: count } : see();
};

globalThis.sojourn = {
  see: called(see), look: called(look), text: called(text), locate: called(locate), prepare: called(prepare), choose: called(choose), scroll: called(scroll), mark: called(mark),
  settle, renumber, element: alive,
  examine: (index) => unknowns[index], reveal: (host, root) => { closedRoots.set(host, root); },
  configure: (given) => { settings = { ...settings, ...given }; },
};
