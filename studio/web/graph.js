// Who calls whom: callers left of what they call, in columns.

import { h, s } from "./dom.js";

const GRAPH_ROW = 34;
const GRAPH_GAP = 40;
/** How much a drawing is shrunk to fit its place, at most; a wider one is scrolled. */
const LEAST_SCALE = 0.7;
const LETTER = 7.3;

/** The skills that are reached from those of a name, along the calls or against them, and these. */
export function connected({ nodes, edges }, name) {
  const reached = (from, to) => {
    const found = new Set(nodes.filter((node) => node.name === name).map((node) => node.id));
    for (const one of found) for (const edge of edges) if (edge[from] === one) found.add(edge[to]);
    return found;
  };
  const wanted = new Set([...reached("caller", "callee"), ...reached("callee", "caller")]);
  return { nodes: nodes.filter((node) => wanted.has(node.id)), edges: edges.filter((edge) => wanted.has(edge.caller) && wanted.has(edge.callee)) };
}

/** The columns, callers first: each a list of ids. */
export function columns({ nodes, edges }) {
  const callees = new Map(nodes.map((node) => [node.id, []]));
  for (const { caller, callee } of edges) if (caller !== callee) callees.get(caller)?.push(callee);
  const depths = new Map();
  const depth = (id, above) => {
    if (depths.has(id)) return depths.get(id);
    if (above.has(id)) return 0;
    const below = (callees.get(id) ?? []).map((callee) => depth(callee, new Set([...above, id])) + 1);
    const deepest = Math.max(0, ...below);
    depths.set(id, deepest);
    return deepest;
  };
  for (const { id } of nodes) depth(id, new Set());
  const most = Math.max(0, ...depths.values());
  const list = Array.from({ length: most + 1 }, () => []);
  for (const { id } of nodes) list[most - depths.get(id)].push(id);
  // Each column in the order of the mean place of its neighbours, there and back a few times.
  const place = new Map();
  const number = () => list.forEach((column) => column.forEach((id, index) => place.set(id, index - column.length / 2)));
  number();
  const mean = (id) => {
    const near = edges.flatMap((edge) => (edge.caller === id ? [edge.callee] : edge.callee === id ? [edge.caller] : []));
    return near.length ? near.reduce((sum, one) => sum + place.get(one), 0) / near.length : place.get(id);
  };
  for (let sweep = 0; sweep < 6; sweep += 1) {
    for (const column of sweep % 2 ? [...list].reverse() : list) {
      const means = new Map(column.map((id) => [id, mean(id)]));
      column.sort((one, other) => means.get(one) - means.get(other));
      number();
    }
  }
  return list;
}

/** The graph as a drawing whose skills are links, and the skills without calls in a line. */
export function callGraph(graph, chosen = null) {
  const called = new Set(graph.edges.flatMap((edge) => [edge.caller, edge.callee]));
  const [drawn, alone] = [graph.nodes.filter((node) => called.has(node.id)), graph.nodes.filter((node) => !called.has(node.id))];
  const link = (name) => `#/skills/${encodeURIComponent(name)}`;
  const label = (node) => `${node.id}${node.uses ? `  ${node.successes}/${node.uses}` : ""}`;
  const rest = alone.length > 0 && h("p", { class: "note" }, drawn.length ? "Without calls: " : "No skill calls another one: ",
    alone.map((node, index) => [index > 0 && ", ", h("a", { href: link(node.name) }, node.id)]));
  if (drawn.length === 0) return h("div", { class: "graph" }, rest || h("p", { class: "note" }, "No skill is in use."));
  const byId = new Map(drawn.map((node) => [node.id, node]));
  const list = columns({ nodes: drawn, edges: graph.edges });
  const widths = list.map((column) => Math.max(...column.map((id) => label(byId.get(id)).length)) * LETTER + 20);
  const rows = Math.max(...list.map((column) => column.length));
  const at = new Map();
  let left = 8;
  list.forEach((column, index) => {
    column.forEach((id, row) => at.set(id, { x: left, width: widths[index], y: (row + 0.5 + (rows - column.length) / 2) * GRAPH_ROW + 6 }));
    left += widths[index] + GRAPH_GAP;
  });
  const [width, height] = [left - GRAPH_GAP + 8, rows * GRAPH_ROW + 12];
  const drawing = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Who calls whom" },
    graph.edges.filter((edge) => edge.caller !== edge.callee).map(({ caller, callee }) => {
      const [from, to] = [at.get(caller), at.get(callee)];
      const [x1, x2, bend] = [from.x + from.width, to.x, GRAPH_GAP / 2];
      const near = [caller, callee].some((id) => byId.get(id).name === chosen);
      return s("path", { class: near ? "call near" : "call", d: `M${x1} ${from.y}C${x1 + bend} ${from.y} ${x2 - bend} ${to.y} ${x2} ${to.y}` });
    }),
    drawn.map((node) => {
      const { x, y, width: size } = at.get(node.id);
      return s("a", { href: link(node.name), "aria-label": `${label(node)}${node.stale ? ", stale" : ""}${node.reflex ? ", reflex" : ""}` },
        s("rect", { class: `skill${node.name === chosen ? " chosen" : ""}${node.stale ? " stale" : ""}`, x, y: y - 12, width: size, height: 24, rx: node.reflex ? 12 : 5 }),
        s("text", { x: x + 10, y: y + 4 }, label(node)));
    }));
  drawing.style.minWidth = `${Math.round(width * LEAST_SCALE)}px`;
  return h("div", { class: "graph" }, h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Drawing" }, drawing), rest);
}
