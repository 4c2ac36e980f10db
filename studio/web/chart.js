// Charts, drawn as SVG with attributes only, so that a chart that is saved looks as it does here.

import { download, fill, h, s } from "./dom.js";
import { count, csv } from "./format.js";

/** Colours that can be told apart by people who see red and green alike (Okabe and Ito), darker or lighter for the ground. */
const LIGHT = ["#0b6e5f", "#b3541e", "#4a4fb5", "#8a5a00", "#a6266e", "#2a6f97", "#5b6b1f", "#5d6066"];
const DARK = ["#5fd0b8", "#f2a071", "#a9aef5", "#f2c14e", "#f08bc0", "#7cc4ea", "#c0d36a", "#b4b7bd"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

function theme() {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches && !document.body.classList.contains("light");
  return isDark
    ? { ground: "#191b1e", grid: "#33363b", text: "#b4b7bd", strong: "#eceef1", colours: DARK }
    : { ground: "#ffffff", grid: "#e4e4e1", text: "#5d6066", strong: "#1c1d1f", colours: LIGHT };
}

/** Round numbers from 0 to at least `most`. */
export function ticks(most, wanted = 5) {
  if (!(most > 0)) return [0, 1];
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const list = [];
  for (let value = 0; list.length === 0 || list[list.length - 1] < most; value += step) list.push(Number(value.toPrecision(12)));
  return list;
}

const short = (number) => (Math.abs(number) >= 1e6 ? `${number / 1e6} M` : Math.abs(number) >= 1e4 ? `${number / 1e3} k` : String(number));

/** A drawing of this module as PNG, drawn again on a canvas: twice as many pixels as units. */
function png(svg) {
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const canvas = h("canvas", { width: width * 2, height: height * 2 });
  const pen = canvas.getContext("2d");
  pen.scale(2, 2);
  const number = (node, name) => Number(node.getAttribute(name) ?? 0);
  for (const node of svg.children) {
    const [fill_, stroke] = [node.getAttribute("fill"), node.getAttribute("stroke")];
    pen.lineWidth = number(node, "stroke-width") || 1;
    pen.setLineDash((node.getAttribute("stroke-dasharray") ?? "").split(" ").filter(Boolean).map(Number));
    pen.lineJoin = "round";
    pen.fillStyle = fill_ ?? "#000000";
    pen.strokeStyle = stroke ?? "#000000";
    if (node.tagName === "rect") pen.fillRect(0, 0, width, height);
    else if (node.tagName === "path") pen.stroke(new Path2D(node.getAttribute("d")));
    else if (node.tagName === "line") {
      pen.beginPath();
      pen.moveTo(number(node, "x1"), number(node, "y1"));
      pen.lineTo(number(node, "x2"), number(node, "y2"));
      pen.stroke();
    } else if (node.tagName === "text") {
      pen.save();
      pen.translate(number(node, "x"), number(node, "y"));
      if (node.getAttribute("transform")) pen.rotate(-Math.PI / 2);
      pen.font = `${number(node, "font-size")}px ${node.getAttribute("font-family")}`;
      pen.textAlign = { middle: "center", end: "right" }[node.getAttribute("text-anchor")] ?? "left";
      pen.fillText(node.textContent, 0, 0);
      pen.restore();
    }
  }
  return new Promise((made) => canvas.toBlob(made, "image/png"));
}

/** A chart of lines: `{ title, x, y, lines: [{ name, points: [[x, y]] }], steps }`. Returns an element with ways to save it. */
export function lineChart({ title, x, y, lines, steps = true, file }) {
  const [width, height, left, right, top, bottom] = [720, 320, 58, 16, 16, 46];
  const place = h("div", { class: "chart-place", tabindex: "0", role: "group", "aria-label": title });
  const words = h("p", { class: "chart-words", "aria-live": "off" });
  const shown = lines.filter((line) => line.points.length > 0);
  const all = shown.flatMap((line) => line.points);
  const most = (index) => all.reduce((top_, point) => Math.max(top_, point[index]), 0);
  const [xTicks, yTicks] = [ticks(most(0), 6), ticks(most(1), 5)];
  const [xMost, yMost] = [xTicks[xTicks.length - 1], yTicks[yTicks.length - 1]];
  const toX = (value) => left + (value / xMost) * (width - left - right);
  const toY = (value) => height - bottom - (value / yMost) * (height - top - bottom);
  const drawing = () => {
    const { ground, grid, text, strong, colours } = theme();
    const font = { "font-family": "system-ui, sans-serif", "font-size": 12, fill: text };
    const path = (points) => points.map(([px, py], index) => {
      const [sx, sy] = [toX(px).toFixed(1), toY(py).toFixed(1)];
      if (index === 0) return `M${sx} ${sy}`;
      return steps ? `H${sx}V${sy}` : `L${sx} ${sy}`;
    }).join("");
    return s("svg", {
      xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height + 18 * Math.ceil(shown.length / 2)}`, role: "img",
      "aria-label": `${title}: ${shown.map((line) => `${line.name} reaches ${count(line.points[line.points.length - 1]?.[1])}`).join("; ")}`,
    },
    s("rect", { width: "100%", height: "100%", fill: ground }),
    yTicks.map((value) => [
      s("line", { x1: left, x2: width - right, y1: toY(value), y2: toY(value), stroke: grid }),
      s("text", { ...font, x: left - 8, y: toY(value) + 4, "text-anchor": "end" }, short(value)),
    ]),
    xTicks.map((value) => s("text", { ...font, x: toX(value), y: height - bottom + 18, "text-anchor": "middle" }, short(value))),
    s("text", { ...font, x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, x),
    s("text", { ...font, x: 14, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(top + height - bottom) / 2})` }, y),
    shown.map((line, index) => s("path", {
      d: path(line.points), fill: "none", stroke: colours[index % colours.length], "stroke-width": 2, "stroke-linejoin": "round",
      "stroke-dasharray": DASHES[Math.floor(index / colours.length) % DASHES.length] || null,
    })),
    shown.map((line, index) => {
      const [lx, ly] = [left + (index % 2) * ((width - left) / 2), height + 10 + Math.floor(index / 2) * 18];
      return [
        s("line", { x1: lx, x2: lx + 22, y1: ly - 4, y2: ly - 4, stroke: colours[index % colours.length], "stroke-width": 3, "stroke-dasharray": DASHES[Math.floor(index / colours.length) % DASHES.length] || null }),
        s("text", { ...font, fill: strong, x: lx + 28, y: ly }, line.name),
      ];
    }));
  };
  const svg = drawing();
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((((event.clientX - box.left) / box.width) * width - left) / (width - left - right)) * xMost;
    fill(words, `${x} ${count(Math.max(0, at))}: `, shown.map((line) => {
      const before = line.points.findLast((point) => point[0] <= at) ?? line.points[0];
      return `${line.name} ${count(before[1])}`;
    }).join(", "));
  });
  const table = [[x, ...shown.map((line) => line.name)]];
  for (const [index, line] of shown.entries()) {
    for (const [px, py] of line.points) table.push([px, ...shown.map((_, other) => (other === index ? py : null))]);
  }
  fill(place, all.length ? svg : h("p", { class: "empty" }, "There is nothing to draw yet."));
  return h("figure", { class: "chart" }, h("figcaption", {}, h("h2", {}, title),
    h("div", { class: "buttons" },
      h("button", { type: "button", class: "small", onclick: async () => download(`${file}.png`, "image/png", await png(drawing())) }, "PNG"),
      h("button", { type: "button", class: "small", onclick: () => download(`${file}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(drawing())) }, "SVG"),
      h("button", { type: "button", class: "small", onclick: () => download(`${file}.csv`, "text/csv", csv(table)) }, "CSV"))),
  place, words);
}

/** A small line without axes: `points` of `[x, y]`. */
export function spark(points, label) {
  const [width, height] = [120, 26];
  const most = points.reduce(([mx, my], [px, py]) => [Math.max(mx, px), Math.max(my, py)], [1, 1]);
  const at = ([px, py]) => `${((px / most[0]) * (width - 4) + 2).toFixed(1)} ${(height - 3 - (py / most[1]) * (height - 6)).toFixed(1)}`;
  const line = points.map((point, index) => `${index ? "L" : "M"}${at(point)}`).join("");
  return s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label },
    s("path", { class: "spark-ground", d: `M2 ${height - 3}H${width - 2}` }), points.length > 1 && s("path", { class: "spark-line", d: line }),
    points.length > 0 && (() => {
      const [cx, cy] = at(points[points.length - 1]).split(" ");
      return s("circle", { class: "spark-end", cx, cy, r: 2.2 });
    })());
}
