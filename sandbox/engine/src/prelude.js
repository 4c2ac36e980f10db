// What a skill finds around it: `console`, and the bindings of its call as global functions.
//
// Evaluated once, when engine.wasm is pre-initialised, with the host's three functions:
//   call(name, args) -> value     waits
//   start(name, args) -> promise  runs in parallel; settled in the order of starting
//   log(level, text)
// It returns the function that prepares one call: (invocation) => the entry's arguments, where
//   invocation = { bindings: [{ name, parameters: [names], kind: "call" | "live" }], args, checked }.
// What runs in every call is kept lean: a skill calls `observe()` in every turn of its loops.
(function (call, start, log) {
  'use strict';

  const { defineProperty, getPrototypeOf, hasOwn, freeze, keys, create, prototype: objectPrototype } = Object;
  const { isArray } = Array;
  const { stringify } = JSON;
  const isRecord = (value) => typeof value === 'object' && value !== null && !isArray(value);
  const listed = (names) => names.slice(0, 40).join(', ') + (names.length > 40 ? ', …' : '') || 'none';

  // ---- console ------------------------------------------------------------------------------------

  const shown = (value) => {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return `${value.name}: ${value.message}`;
    return (typeof value === 'object' && stringify(value)) || String(value);
  };
  const console = {};
  ['debug', 'log', 'info', 'warn', 'error'].forEach((name, level) => {
    console[name] = (...values) => log(level, values.map(shown).join(' '));
  });

  // ---- views --------------------------------------------------------------------------------------
  //
  // A view is a read-only stand-in for the record that a source gives at the moment of asking. Its source is
  //   { read() -> the record, path: how messages call it, root: the source at the top or null, views: of its parts }.
  // Where there is a root, a name that is one level off is found all the same.

  const viewOf = (source) => new Proxy(source, handler);

  function part(source, key) {
    const { path, root } = source;
    const made = {
      read() {
        const value = source.read()[key];
        if (!isRecord(value)) throw new Error(`${made.path} is ${stringify(value) ?? 'gone'} now`);
        return value;
      },
      path: `${path}.${key}`,
      root,
      views: null,
    };
    return made;
  }

  // What stands at a place: values as they are, records as views, lists as they are at this moment, because a loop
  // over one must not shift under the loop's feet.
  function shownAt(source, key, value) {
    if (typeof value !== 'object' || value === null) return value;
    if (isArray(value)) return copied(value, `${source.path}.${key}`);
    source.views ??= new Map();
    let view = source.views.get(key);
    if (!view) source.views.set(key, (view = viewOf(part(source, key))));
    return view;
  }

  function copied(list, path) {
    return list.map((item, index) => {
      if (isArray(item)) return copied(item, `${path}[${index}]`);
      return isRecord(item) ? fixed(item, `${path}[${index}]`) : item;
    });
  }

  const fixed = (record, path) => viewOf({ read: () => record, path, root: null, views: null });

  // The view at the top: of a record that may change.
  function top(read, path) {
    const source = { read, path, root: null, views: null };
    source.root = source;
    return viewOf(source);
  }

  // The source and record, one level up or down from `source`, that have `key`; or undefined.
  function elsewhere(source, key) {
    const { root } = source;
    if (!root) return undefined;
    const whole = root.read();
    if (source !== root) return hasOwn(whole, key) ? { home: root, record: whole } : undefined;
    const homes = keys(whole).filter((name) => isRecord(whole[name]) && hasOwn(whole[name], key));
    return homes.length === 1 ? { home: part(root, homes[0]), record: whole[homes[0]] } : undefined;
  }

  const refuse = (source, key) => {
    throw new TypeError(`${source.path}.${String(key)} cannot be set: it shows the world as it is`);
  };

  const handler = freeze({
    get(source, key) {
      if (typeof key === 'symbol') return undefined;
      const record = source.read();
      if (hasOwn(record, key)) return shownAt(source, key, record[key]);
      if (key in objectPrototype) return objectPrototype[key];
      if (key === 'toJSON' || key === 'then') return undefined;
      const found = elsewhere(source, key);
      if (found) return shownAt(found.home, key, found.record[key]);
      throw new Error(`${source.path}.${key} does not exist; there are: ${listed(keys(record))}`);
    },
    has: (source, key) => typeof key === 'string' && hasOwn(source.read(), key),
    ownKeys: (source) => keys(source.read()),
    getOwnPropertyDescriptor(source, key) {
      if (typeof key === 'symbol') return undefined;
      const record = source.read();
      if (!hasOwn(record, key)) return undefined;
      const value = shownAt(source, key, record[key]);
      return { value, writable: false, enumerable: true, configurable: true };
    },
    set: refuse,
    defineProperty: refuse,
    deleteProperty: refuse,
    setPrototypeOf: () => false,
    preventExtensions: () => false,
  });

  // ---- bindings -----------------------------------------------------------------------------------

  const isPlain = (value) =>
    isRecord(value) && (getPrototypeOf(value) === objectPrototype || getPrototypeOf(value) === null);

  // Arguments by name, from a call by position or from one object of named arguments.
  function named(name, parameters, given) {
    while (given.length > 0 && given[given.length - 1] === undefined) given.pop();
    const args = create(null);
    if (given.length === 0) return args;
    const first = given[0];
    if (given.length === 1 && isPlain(first) && keys(first).every((key) => parameters.includes(key))) {
      for (const key of keys(first)) args[key] = first[key];
      return args;
    }
    if (given.length > parameters.length) {
      const count = parameters.length === 1 ? '1 argument' : `${parameters.length || 'no'} arguments`;
      throw new TypeError(`${name}(${parameters.join(', ')}) takes ${count}, not ${given.length}`);
    }
    for (let i = 0; i < given.length; i++) {
      if (given[i] !== undefined) args[parameters[i]] = given[i];
    }
    return args;
  }

  // Counts the acts: what a live binding answered before the last one is out of date.
  let acts = 0;

  const acting = (name, parameters) => (...given) => {
    const args = named(name, parameters, given);
    try {
      return call(name, args);
    } finally {
      acts++;
    }
  };

  // One place that a live binding shows; the host is asked once between two acts.
  function place(name, args, path) {
    let answer;
    let asked = -1;
    const ask = () => {
      if (asked !== acts) {
        answer = call(name, args);
        asked = acts;
      }
      return answer;
    };
    const view = top(() => {
      const record = ask();
      if (!isRecord(record)) throw new Error(`${path} is ${stringify(record)} now`);
      return record;
    }, path);
    return () => {
      const value = ask();
      if (isArray(value)) return copied(value, path);
      return isRecord(value) ? view : value;
    };
  }

  const looking = (name, parameters) => {
    const places = create(null);
    return (...given) => {
      const args = named(name, parameters, given);
      const key = given.length === 0 ? '' : stringify(args);
      places[key] ??= place(name, args, `${name}(${given.map((value) => stringify(value)).join(', ')})`);
      return places[key]();
    };
  };

  const forget = () => acts++;
  const starting = (name, parameters) => (...given) => {
    try {
      const promise = start(name, named(name, parameters, given));
      promise.then(forget, forget);
      return promise;
    } catch (error) {
      return Promise.reject(error);
    }
  };

  // The bindings' parameters by name.
  const granted = create(null);

  // `tools.x(…)` and `skills.x(…)` call any binding in parallel.
  const catalogue = (label) =>
    new Proxy(freeze(create(null)), {
      get(_, name) {
        if (typeof name === 'symbol' || name === 'then' || name === 'toJSON') return undefined;
        if (name in granted) return starting(name, granted[name]);
        throw new ReferenceError(`${label}.${name} is not defined; there are: ${listed(keys(granted))}`);
      },
    });

  const property = { value: undefined, writable: true, enumerable: false, configurable: true };
  const define = (name, value) => {
    property.value = value;
    defineProperty(globalThis, name, property);
  };
  define('console', freeze(console));
  define('tools', catalogue('tools'));
  define('skills', catalogue('skills'));

  return function install({ bindings, args, checked }) {
    for (const { name, parameters, kind } of bindings) {
      granted[name] = parameters;
      define(name, kind === 'live' ? looking(name, parameters) : acting(name, parameters));
    }
    return checked ? args.map((arg) => (isRecord(arg) ? top(() => arg, 'state') : arg)) : args;
  };
})
