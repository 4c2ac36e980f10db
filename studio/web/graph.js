// Who calls whom: callers left of what they call, in columns.

import { h, s } from "./dom.js";

const GRAPH_ROW = 34;
const GRAPH_GAP = 64;
const LETTER = 7.3;

/** The skills that are reached from one, along the calls or against them, and it. */
export function connected({ nodes, edges }, name) {
  const reached = (from, to) => {
    const found = new Set([name]);
    for (const one of found) for (const edge of edges) if (edge[from] === one) found.add(edge[to]);
    return found;
  };
  const wanted = new Set([...reached("caller", "callee"), ...reached("callee", "caller")]);
  return { nodes: nodes.filter((node) => wanted.has(node.name)), edges: edges.filter((edge) => wanted.has(edge.caller) && wanted.has(edge.callee)) };
}

/** The columns, callers first: each a list of names. */
export function columns({ nodes, edges }) {
  const callees = new Map(nodes.map((node) => [node.name, []]));
  for (const { caller, callee } of edges) if (caller !== callee) callees.get(caller)?.push(callee);
  const depths = new Map();
  const depth = (name, above) => {
    if (depths.has(name)) return depths.get(name);
    if (above.has(name)) return 0;
    const below = (callees.get(name) ?? []).map((callee) => depth(callee, new Set([...above, name])) + 1);
    const deepest = Math.max(0, ...below);
    depths.set(name, deepest);
    return deepest;
  };
  for (const { name } of nodes) depth(name, new Set());
  const most = Math.max(0, ...depths.values());
  const list = Array.from({ length: most + 1 }, () => []);
  for (const { name } of nodes) list[most - depths.get(name)].push(name);
  // Each column in the order of the mean place of its neighbours, there and back a few times.
  const place = new Map();
  const number = () => list.forEach((column) => column.forEach((name, index) => place.set(name, index - column.length / 2)));
  number();
  const mean = (name) => {
    const near = edges.flatMap((edge) => (edge.caller === name ? [edge.callee] : edge.callee === name ? [edge.caller] : []));
    return near.length ? near.reduce((sum, one) => sum + place.get(one), 0) / near.length : place.get(name);
  };
  for (let sweep = 0; sweep < 6; sweep += 1) {
    for (const column of sweep % 2 ? [...list].reverse() : list) {
      const means = new Map(column.map((name) => [name, mean(name)]));
      column.sort((one, other) => means.get(one) - means.get(other));
      number();
    }
  }
  return list;
}

/** The graph as a drawing whose skills are links, and the skills without calls in a line. */
export function callGraph(graph, chosen = null) {
  const called = new Set(graph.edges.flatMap((edge) => [edge.caller, edge.callee]));
  const [drawn, alone] = [graph.nodes.filter((node) => called.has(node.name)), graph.nodes.filter((node) => !called.has(node.name))];
  const link = (name) => `#/skills/${encodeURIComponent(name)}`;
  const label = (node) => `${node.name}${node.uses ? `  ${node.successes}/${node.uses}` : ""}`;
  const rest = alone.length > 0 && h("p", { class: "note" }, drawn.length ? "Without calls: " : "No skill calls another one: ",
    alone.map((node, index) => [index > 0 && ", ", h("a", { href: link(node.name) }, node.name)]));
  if (drawn.length === 0) return h("div", { class: "graph" }, rest || h("p", { class: "note" }, "No skill is in use."));
  const byName = new Map(drawn.map((node) => [node.name, node]));
  const list = columns({ nodes: drawn, edges: graph.edges });
  const widths = list.map((column) => Math.max(...column.map((name) => label(byName.get(name)).length)) * LETTER + 20);
  const rows = Math.max(...list.map((column) => column.length));
  const at = new Map();
  let left = 8;
  list.forEach((column, index) => {
    column.forEach((name, row) => at.set(name, { x: left, width: widths[index], y: (row + 0.5 + (rows - column.length) / 2) * GRAPH_ROW + 6 }));
    left += widths[index] + GRAPH_GAP;
  });
  const [width, height] = [left - GRAPH_GAP + 8, rows * GRAPH_ROW + 12];
  const drawing = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Who calls whom" },
    graph.edges.filter((edge) => edge.caller !== edge.callee).map(({ caller, callee }) => {
      const [from, to] = [at.get(caller), at.get(callee)];
      const [x1, x2, bend] = [from.x + from.width, to.x, GRAPH_GAP / 2];
      return s("path", { class: caller === chosen || callee === chosen ? "call near" : "call", d: `M${x1} ${from.y}C${x1 + bend} ${from.y} ${x2 - bend} ${to.y} ${x2} ${to.y}` });
    }),
    drawn.map((node) => {
      const { x, y, width: size } = at.get(node.name);
      return s("a", { href: link(node.name), "aria-label": `${label(node)}${node.stale ? ", stale" : ""}${node.reflex ? ", reflex" : ""}` },
        s("rect", { class: `skill${node.name === chosen ? " chosen" : ""}${node.stale ? " stale" : ""}`, x, y: y - 12, width: size, height: 24, rx: node.reflex ? 12 : 5 }),
        s("text", { x: x + 10, y: y + 4 }, label(node)));
    }));
  return h("div", { class: "graph" }, h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Drawing" }, drawing), rest);
}
