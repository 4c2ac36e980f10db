// Chooses among the calls that the world says are possible: each call has traits, each trait a weight. What an episode has shown (lines
// of text, places, what was tried where) is remembered until it ends. The same as `memory.rs`.
const MOST_LINES = 400, MOST_TEXT = 4000, MOST_CALLS = 2000, MOST_PLACES = 200, LONG = 2, FAR = 0.9, TIRED = 0.1, STEP = 0.001;
const words = text => String(text).toLowerCase().match(/[\p{Alphabetic}\p{N}]+/gu) || [];
const weight = name => weights[name] || 0;
const lines = [], lineNumbers = new Map(), calls = new Map(), order = [], places = [], placeNumbers = new Map(), made = [], ofVerbs = new Map();
let here = 0, round = 0;
const subset = (a, b) => a.every(word => b.includes(word));
// The weights of what a call's verb and its history have in common.
const ofVerb = verb => {
  let known = ofVerbs.get(verb);
  if (known === undefined) {
    const times = letter => [0, 1, 2, 3].map(count => count === 0 ? 0 : weight(`${letter}${count}:${verb}`));
    const again = sign => weight(`again${sign}:${verb}`), to = weight(`to:${verb}`);
    known = { tries: times("k"), made: times("m"), round: weight(`kr:${verb}`), "": 0, "+": again("+"), "-": again("-"), "0": again("0"),
      old: to + weight(`to:old ${verb}`), fresh: to + weight(`to:fresh ${verb}`) };
    ofVerbs.set(verb, known);
  }
  return known;
};
const isAbout = (call, other) => call !== other && call.args.length > 0 && other.args.length > 0 && (subset(call.args, other.args) || subset(other.args, call.args));
// The latest call about the same thing, and what came of it.
const follow = (call, other, sign) => {
  if (isAbout(call, other)) call.after = weight(`${call.verb}<${other.verb}${sign}`);
};
// Of which verbs lines of which fields say something that has a weight. Most pairs of a call and a line have none.
const kinds = new Set(Object.keys(weights).filter(name => name.includes("|")).map(name => name.slice(1, name.indexOf("|"))));
const pair = (call, line) => {
  const found = [], own = line.words, args = call.args;
  let matters = call.fields.get(line.field);
  if (matters === undefined) {
    matters = kinds.has(`${line.field}:${call.verb}`) || kinds.has(`${line.field}:*`);
    call.fields.set(line.field, matters);
  }
  if (!matters) return found;
  const rest = args.filter(word => !line.set.has(word));
  if (rest.length === args.length || rest.length > LONG) return found;
  const left = own.filter(word => word !== call.verb && !args.includes(word));
  const tail = left.length > LONG ? own[0] + "..." : left.join(" ");
  const names = [`${line.field}:${call.verb}|${rest.join(" ")}|${tail}`];
  if (rest.length === 0) names.push(`${line.field}:*|${line.set.has(call.verb) ? 1 : 0}|${tail}`);
  for (const name of names) if (weight("n" + name) || weight("t" + name)) found.push(name);
  return found;
};
const hit = (call, number) => {
  const names = pair(call, lines[number]);
  if (names.length > 0) call.hits.push([number, names]);
};
const textOf = call => {
  const values = Object.values(call.args);
  return only && values.length === 1 ? String(values[0]) : [call.name, ...values].join(" ");
};
const callOf = offer => {
  const text = textOf(offer);
  let call = calls.get(text);
  if (call === undefined && calls.size < MOST_CALLS) {
    const [verb = "", ...args] = words(text);
    const own = new Set([`v:${verb}`, `c:${text}`]);
    args.forEach((word, at) => {
      own.add(`a:${verb} ${word}`);
      for (const other of args.slice(at + 1)) own.add(`w:${verb} ${word} ${other}`);
    });
    let worth = 0;
    for (const name of own) worth += weight(name);
    call = { offer, verb, args, worth, fields: new Map(), hits: [], made: 0, sign: "", after: 0, known: ofVerb(verb) };
    for (const [other, sign] of made) follow(call, other, sign);
    lines.forEach((_, number) => hit(call, number));
    calls.set(text, call);
    order.push(call);
  }
  return call;
};
const textsIn = (value, field, found, depth) => {
  if (typeof value === "string") found.push([field, value]);
  else if (value !== null && typeof value === "object" && depth < 4) {
    for (const name of Object.keys(value)) {
      textsIn(value[name], Array.isArray(value) ? field : field === "" ? name : `${field}/${name}`, found, depth + 1);
    }
  }
};
const linesOf = text => [...text].slice(0, MOST_TEXT).join("").split(/\n|[.!?:;](?=[ \t\r\n]|$)/u).map(words).filter(line => line.length > 0);
const see = (state, offers) => {
  const texts = [], shown = new Set();
  let key = [];
  textsIn(state, "", texts, 0);
  for (const [field, text] of texts) {
    const said = linesOf(text);
    if (field === place && key.length === 0 && said.length > 0) key = said[0];
    for (const line of said) {
      const name = `${field}\n${line.join(" ")}`;
      let number = lineNumbers.get(name);
      if (number === undefined && lines.length < MOST_LINES) {
        number = lines.push({ field, words: line, set: new Set(line) }) - 1;
        lineNumbers.set(name, number);
        for (const call of order) hit(call, number);
      }
      if (number !== undefined) shown.add(number);
    }
  }
  const name = key.join(" ");
  let number = placeNumbers.get(name);
  if (number === undefined) {
    number = places.length < MOST_PLACES ? places.push({ words: key, tries: new Map(), last: new Map(), ways: new Map(), named: new Map(), sums: new Map() }) - 1 : 0;
    placeNumbers.set(name, number);
  }
  here = number;
  places[here].offers = new Set(offers.map(callOf).filter(call => call !== undefined));
  places[here].shown = shown;
  places[here].sums.clear();
  places[here].round = round;
};
const namedIn = (to, from) => {
  const named = places[to].named;
  if (!named.has(from)) named.set(from, { read: 0, fields: new Set() });
  const known = named.get(from), name = places[to].words;
  const own = name.filter(word => !places[from].words.includes(word));
  for (; known.read < lines.length; known.read++) {
    const { field, words } = lines[known.read];
    if (field !== place && own.length > 0 && words.length > name.length && subset(own, words)) known.fields.add(field);
  }
  return known.fields;
};
const score = (at, call) => {
  const { shown, tries, last, ways, sums } = places[at], { known, hits } = call;
  // What lines say of the call is summed again only when there is more.
  let said = sums.get(call);
  if (said === undefined || said.hits !== hits.length) {
    const seen = new Set();
    for (const [line, names] of hits) for (const name of names) seen.add((shown.has(line) ? "n" : "t") + name);
    said = { hits: hits.length, sum: 0 };
    for (const name of seen) said.sum += weight(name);
    sums.set(call, said);
  }
  let sum = call.worth + said.sum + call.after + known[call.sign] + known.made[Math.min(call.made, 3)] + known.tries[Math.min(tries.get(call) || 0, 3)];
  if (last.get(call) === round) sum += known.round;
  const to = ways.get(call);
  if (to !== undefined) {
    const age = places[to].round === round ? "old" : "fresh";
    sum += known[age];
    for (const field of namedIn(to, at)) sum += weight(`to:${age} named ${field}`);
  }
  return sum;
};
// The best call of all places that can be walked to, or the first one on the way there.
const choose = () => {
  const queue = [{ at: here, far: 0, first: undefined }], met = new Set([here]);
  let best, most = -Infinity;
  for (const { at, far, first } of queue) {
    for (const call of places[at].offers) {
      const worth = score(at, call) - TIRED * (places[at].tries.get(call) || 0);
      const now = (worth > 0 ? worth * FAR ** far : worth) - STEP * far;
      if (now > most + 1e-9) [most, best] = [now, first || call];
    }
    for (const [call, to] of places[at].ways) {
      if (!met.has(to) && places[at].offers.has(call)) {
        met.add(to);
        queue.push({ at: to, far: far + 1, first: first || call });
      }
    }
  }
  return best;
};
const came = (call, from, gain) => {
  const { tries, last } = places[from];
  tries.set(call, (tries.get(call) || 0) + 1);
  last.set(call, round);
  call.made += 1;
  call.sign = gain > 1e-9 ? "+" : gain < -1e-9 ? "-" : "0";
  made.push([call, call.sign]);
  for (const other of order) follow(other, call, call.sign);
  if (gain > 1e-9) round += 1;
};
const went = (call, from) => {
  if (here !== from) places[from].ways.set(call, here);
  else places[from].ways.delete(call);
};
const total = () => typeof observe().return === "number" ? observe().return : 0;
const act = call => {
  const from = here, had = total();
  tools[call.offer.name](call.offer.args);
  came(call, from, total() - had);
  see(observe(), available());
  went(call, from);
};
