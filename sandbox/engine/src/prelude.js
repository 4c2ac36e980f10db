// What a skill finds around it: `console`, and the bindings of its call as global functions.
//
// Evaluated once, when engine.wasm is pre-initialised, with the host's three functions:
//   call(name, args) -> value     waits
//   start(name, args) -> promise  runs in parallel; settled in the order of starting
//   log(level, text)
// It returns the function that prepares one call: (invocation) => the entry's arguments, where
//   invocation = { bindings: [{ name, parameters: [names], kind: "call" | "live" }], args, checked }.
(function (call, start, log) {
  'use strict';

  const { defineProperty, hasOwn, freeze, keys, create } = Object;
  const { isArray } = Array;
  const { stringify } = JSON;
  const isRecord = (value) => typeof value === 'object' && value !== null && !isArray(value);
  const isPlain = (value) => isRecord(value) && (isView(value) || Object.getPrototypeOf(value) === Object.prototype);

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
  defineProperty(globalThis, 'console', { value: freeze(console), enumerable: false });

  // ---- live views ---------------------------------------------------------------------------------

  // What the live bindings answered since the last call: reading between two calls asks the host once.
  const states = new Map();

  const views = new WeakSet();
  const isView = (value) => views.has(value);

  const listed = (names) => {
    const shownNames = names.slice(0, 40).join(', ');
    return names.length > 40 ? `${shownNames}, …` : shownNames || 'none';
  };

  // A read-only stand-in for the record that `read()` gives at the moment of asking. `path` is how
  // messages call it; `root` reads the record at the top, in which a name one level off is looked up too.
  function view(read, path, root) {
    const child = (parent, key) => () => {
      const value = parent()[key];
      if (!isRecord(value)) throw new Error(`${path}.${key} is ${stringify(value) ?? 'gone'} now`);
      return value;
    };
    const wrap = (parent, key, label) => {
      const value = parent()[key];
      if (isRecord(value)) return view(child(parent, key), label, root);
      return isArray(value) ? frozenCopy(value, label) : value;
    };

    const elsewhere = (here, key) => {
      if (!root) return undefined;
      const top = root();
      if (here !== top) return hasOwn(top, key) ? { parent: root, label: `${path}.${key}` } : undefined;
      const homes = keys(top).filter((name) => isRecord(top[name]) && hasOwn(top[name], key));
      if (homes.length !== 1) return undefined;
      return { parent: () => root()[homes[0]], label: `${path}.${homes[0]}.${key}` };
    };

    const get = (_, key) => {
      if (typeof key === 'symbol') return undefined;
      const here = read();
      if (hasOwn(here, key)) return wrap(read, key, `${path}.${key}`);
      if (key in Object.prototype) return Object.prototype[key];
      if (key === 'toJSON' || key === 'then') return undefined;
      const found = elsewhere(here, key);
      if (found) return wrap(found.parent, key, found.label);
      throw new Error(`${path}.${key} does not exist; there are: ${listed(keys(here))}`);
    };
    const refuse = (_, key) => {
      throw new TypeError(`${path}.${String(key)} cannot be set: it shows the world as it is`);
    };
    const made = new Proxy({}, {
      get,
      has: (_, key) => typeof key === 'string' && hasOwn(read(), key),
      ownKeys: () => keys(read()),
      getOwnPropertyDescriptor: (_, key) => {
        if (typeof key === 'symbol' || !hasOwn(read(), key)) return undefined;
        return { value: get(_, key), writable: false, enumerable: true, configurable: true };
      },
      set: refuse,
      defineProperty: refuse,
      deleteProperty: refuse,
      setPrototypeOf: refuse,
      preventExtensions: () => false,
    });
    views.add(made);
    return made;
  }

  // A list is given as it is at the moment of reading: a loop over it must not shift under the loop's feet.
  function frozenCopy(list, path) {
    return list.map((item, index) => {
      if (isArray(item)) return frozenCopy(item, `${path}[${index}]`);
      return isRecord(item) ? view(() => item, `${path}[${index}]`, null) : item;
    });
  }

  function shownAs(read, path) {
    const value = read();
    if (isArray(value)) return frozenCopy(value, path);
    if (!isRecord(value)) return value;
    const top = () => {
      const now = read();
      if (!isRecord(now)) throw new Error(`${path} is ${stringify(now)} now`);
      return now;
    };
    return view(top, path, top);
  }

  // ---- bindings -----------------------------------------------------------------------------------

  // Arguments by name, from a call by position or from one object of named arguments.
  function named(name, parameters, given) {
    while (given.length > 0 && given[given.length - 1] === undefined) given.pop();
    const args = create(null);
    const only = given.length === 1 ? given[0] : undefined;
    if (isPlain(only) && keys(only).every((key) => parameters.includes(key))) {
      for (const key of keys(only)) args[key] = only[key];
      return args;
    }
    if (given.length > parameters.length) {
      const count = parameters.length === 1 ? '1 argument' : `${parameters.length || 'no'} arguments`;
      throw new TypeError(`${name}(${parameters.join(', ')}) takes ${count}, not ${given.length}`);
    }
    given.forEach((value, index) => {
      if (value !== undefined) args[parameters[index]] = value;
    });
    return args;
  }

  const called = (name, parameters) => (...given) => {
    const args = named(name, parameters, given);
    try {
      return call(name, args);
    } finally {
      states.clear();
    }
  };

  const live = (name, parameters) => (...given) => {
    const args = named(name, parameters, given);
    const key = `${name} ${stringify(args)}`;
    const read = () => {
      if (!states.has(key)) states.set(key, call(name, args));
      return states.get(key);
    };
    return shownAs(read, `${name}(${given.map((value) => stringify(value)).join(', ')})`);
  };

  const started = (name, parameters) => (...given) => {
    const forget = () => states.clear();
    let promise;
    try {
      promise = start(name, named(name, parameters, given));
    } catch (error) {
      return Promise.reject(error);
    }
    promise.then(forget, forget);
    return promise;
  };

  const catalogue = (label, members) => new Proxy(freeze(members), {
    get(_, key) {
      if (typeof key === 'symbol' || key === 'then' || key === 'toJSON') return undefined;
      if (hasOwn(members, key)) return members[key];
      throw new ReferenceError(`${label}.${key} is not defined; there are: ${listed(keys(members))}`);
    },
  });

  return function install({ bindings, args, checked }) {
    const parallel = create(null);
    const define = (name, value) => defineProperty(globalThis, name, { value, configurable: true });
    for (const { name, parameters, kind } of bindings) {
      parallel[name] = started(name, parameters);
      const offered = (kind === 'live' ? live : called)(name, parameters);
      define(name, defineProperty(offered, 'name', { value: name }));
    }
    if (!hasOwn(parallel, 'tools')) define('tools', catalogue('tools', parallel));
    if (!hasOwn(parallel, 'skills')) define('skills', catalogue('skills', parallel));
    return checked ? args.map((arg) => shownAs(() => arg, 'state')) : args;
  };
})
