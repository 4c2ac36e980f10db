// Numbers and times for people.

/** `12 345`, `1.2 M`. */
export function count(number) {
  if (number === null || number === undefined) return "–";
  if (Math.abs(number) >= 1e6) return `${(number / 1e6).toFixed(number >= 1e7 ? 1 : 2)} M`;
  return Math.round(number).toLocaleString("en-US").replaceAll(",", "\u202f");
}

/** `1 step`, `2 steps`, `2 matches`, `2 memories`. */
export function counted(number, thing) {
  const many = () => (/(ch|sh|s|x)$/.test(thing) ? `${thing}es` : /[^aeiou]y$/.test(thing) ? `${thing.slice(0, -1)}ies` : `${thing}s`);
  return `${count(number)} ${number === 1 ? thing : many()}`;
}

/** `5.4 s`, `11 min 33 s`, `3 h 04 min`. */
export function span(seconds) {
  if (!(seconds >= 0)) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** `2026-11-28 22:05`, in the reader's time zone. */
export function date(ms) {
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return "–";
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** `00:01:07.2` of a run's own time. */
export function clock(ms) {
  if (!(ms >= 0)) return "";
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}.${Math.floor((ms % 1000) / 100)}`;
}

/** The text, cut to so many characters. */
export function cut(text, most) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** A cell of a CSV file. One that a spreadsheet would calculate is made a text. */
export function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Rows as a CSV file. */
export function csv(rows) {
  return rows.map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";
}
