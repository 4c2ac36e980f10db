// Where runs are read from: the server's API, or the data in a report.

/** The bits of a record, as the API has them. */
export const FLAG = { failures: 1, achievements: 2, deaths: 4, lessons: 8, skills: 16, reflexes: 32, damaged: 64, tries: 128 };

/** What the bits are called. */
export const FLAG_WORDS = {
  failures: "failure", achievements: "achievement", deaths: "death", lessons: "lesson", skills: "skill learned",
  reflexes: "reflex", damaged: "damaged", tries: "try that failed",
};

/** A query of an address; names without a value are left out. */
export function query(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values ?? {})) {
    if (value !== null && value !== undefined && value !== "" && value !== false) query.set(name, value);
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}

async function answered(response) {
  if (response.ok) return response.json();
  let message = `${response.status} ${response.statusText}`;
  try {
    const text = await response.text();
    try {
      const { error, hint } = JSON.parse(text);
      message = hint ? `${error}: ${hint}` : error;
    } catch {
      message = text.trim() || message;
    }
  } catch {
    // The status says enough.
  }
  throw Object.assign(new Error(message), { status: response.status });
}

/** Asks the API. */
export async function get(path, values) {
  return answered(await fetch(`/api${path}${query(values)}`));
}

/** Tells the API to do something. */
export async function post(path, body) {
  return answered(await fetch(`/api${path}`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body ?? {}),
  }));
}

/** A run's own time, as `sojourn log` tells it: without pauses. */
export class RunClock {
  constructor(data) {
    this.set(data);
  }

  set(data) {
    this.begun = data?.begun_ms ?? 0;
    this.stops = data?.stops ?? [];
  }

  /** The milliseconds that the run had run when a record was written. */
  at(seq, at_ms) {
    const stop = this.stops.findLast(([first]) => first <= seq);
    return Math.max(0, at_ms - this.begun - (stop?.[1] ?? 0));
  }
}

/** A run on the server. */
export class ServerRun {
  constructor(run) {
    this.name = run;
    this.path = `/runs/${encodeURIComponent(run)}`;
    this.canAct = true;
  }

  one() { return get(this.path); }
  /** Where the picture is that a record shows. */
  picture({ seq, blob }) { return `/api${this.path}/records/${seq}/media/${encodeURIComponent(blob)}`; }
  series() { return get(`${this.path}/series`); }
  groups(values) { return get(`${this.path}/groups`, values); }
  buckets(values) { return get(`${this.path}/buckets`, values); }
  records(values) { return get(`${this.path}/records`, values); }
  next(values) { return get(`${this.path}/next`, values); }
  search(values) { return get(`${this.path}/search`, values); }
  record(seq) { return get(`${this.path}/records/${seq}`); }
  frames(from, to) { return get(`${this.path}/frames`, { from, to }); }
  /** What fell before a record, and where a fork may begin. */
  decline(until) { return get(`${this.path}/decline`, { until }); }

  /** The position of a record among all of them, from 0. */
  position(seq) { return seq - 1; }

  /** Calls `grown` with `{records, status, live}` now and whenever the run has grown; returns what ends that. */
  follow(grown) {
    const events = new EventSource(`/api${this.path}/events`);
    events.onmessage = (event) => grown(JSON.parse(event.data));
    return () => events.close();
  }
}

/** A run in a report. */
export class EmbeddedRun {
  constructor(data) {
    this.data = data;
    this.name = data.run.run;
    this.canAct = false;
    this.rows = data.rows.map(([seq, at_ms, kind, line, flags]) => ({ seq, at_ms, kind, line, flags }));
  }

  async one() {
    const { run, started, achievements, skills, tasks, damage, damaged, groups, points, sampled } = this.data;
    const totals = points[points.length - 1];
    return { run, clock: this.data.clock, read: this.rows.length, started, groups: groups.length, totals, achievements, skills, tasks, damage, damaged, sampled };
  }

  async series() {
    const { run, points, achievements, skills, tasks } = this.data;
    return { run, points, achievements, skills, tasks };
  }

  async groups({ first = 1, last = Infinity, from_level = 0, to_level = 2 }) {
    const groups = this.data.groups.filter((group) =>
      group.first >= first && group.first <= last && group.level >= from_level && group.level <= to_level);
    return { total: groups.length, groups };
  }

  position(seq) {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  matching({ only = "", kinds = "" }) {
    const flags = only.split(",").reduce((sum, word) => sum | (FLAG[word] ?? 0), 0);
    const wanted = kinds ? new Set(kinds.split(",")) : null;
    return this.rows.filter((row) => (!flags || row.flags & flags) && (!wanted || wanted.has(row.kind)));
  }

  async buckets({ first = 1, last = Infinity, limit = 240 }) {
    const rows = this.rows.filter((row) => row.seq >= first && row.seq <= last);
    const [from, to] = [Math.max(first, 1), Math.min(last, this.data.run.records)];
    const size = Math.max(1, (to - from + 1) / Math.min(limit, to - from + 1));
    const buckets = [];
    for (const row of rows) {
      const index = Math.floor((row.seq - from) / size);
      const bucket = (buckets[index] ??= {
        first: from + Math.floor(index * size), last: from + Math.floor((index + 1) * size) - 1,
        failures: 0, achievements: 0, deaths: 0, lessons: 0, skills: 0, damaged: 0,
      });
      for (const name of Object.keys(FLAG)) if (name in bucket && row.flags & FLAG[name]) bucket[name] += 1;
    }
    return { buckets: buckets.filter(Boolean) };
  }

  async records({ offset = 0, limit = 100, only, kinds }) {
    const rows = only || kinds ? this.matching({ only, kinds }) : this.rows;
    return { total: rows.length, records: rows.slice(offset, offset + limit) };
  }

  async next({ after, only, kinds, back }) {
    const rows = this.matching({ only, kinds });
    const found = back ? rows.findLast((row) => row.seq < after) : rows.find((row) => row.seq > after);
    return { seq: found?.seq ?? null };
  }

  async search({ q }) {
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    const inAll = (row) => {
      const detail = this.data.details[row.seq];
      const text = `${row.kind} ${row.line} ${detail ? JSON.stringify(detail) : ""}`.toLowerCase();
      return words.every((word) => text.includes(word));
    };
    return { records: this.rows.filter(inAll).slice(0, 2000), over: true, searched: this.data.run.records };
  }

  async record(seq) {
    const detail = this.data.details[seq];
    const row = this.rows[this.position(seq)];
    if (!detail) return { seq, kind: row?.kind ?? "", at_ms: row?.at_ms, line: row?.line };
    const whole = structuredClone(detail);
    for (const message of whole.exchange?.request?.messages ?? []) {
      for (const part of message.parts) if (typeof part.text === "number") part.text = this.data.texts[part.text];
    }
    return whole;
  }

  async frames(from, to) {
    const text = (number) => this.data.texts[number] ?? "";
    const frames = [];
    for (let index = this.position(from); index < this.rows.length && this.rows[index].seq <= to; index += 1) {
      const row = this.rows[index];
      const frame = this.data.frames[row.seq];
      if (!frame) continue;
      frames.push({
        ...frame, seq: row.seq, at_ms: row.at_ms, line: row.line, view: text(frame.view), task: text(frame.task),
        decision: text(frame.decision), calls: frame.calls.map(text), memories: frame.memories.map(text),
        ending: frame.ending.map(text),
      });
    }
    return { frames, state: null };
  }

  async decline(until) { return this.data.declines?.[until] ?? { until, steps: [], fallen: [], fork: null, remembers: null }; }

  follow() { return () => {}; }
}
