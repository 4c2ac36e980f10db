//! A picture of a call graph: callers left of what they call, in columns.
//!
//! Sugiyama's method (Sugiyama, Tagawa & Toda, IEEE Trans. SMC 11(2), 1981) in its simplest form: columns by the
//! longest chain of callees, calls that skip columns routed through them, and each column ordered by the mean
//! position of its neighbours.

use crate::logbook::SkillGraph;
use sojourn_tools::outside::html;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const ROW: f64 = 34.0;
const GAP: f64 = 70.0;
const HEIGHT: f64 = 24.0;
const MARGIN: f64 = 12.0;
/// Width of a character of the 12-pixel monospace face.
const CHARACTER: f64 = 7.3;
/// The number of sweeps over the columns; more change little in graphs of this size.
const SWEEPS: usize = 12;

/// A place in a column: a skill, or a bend of a call that passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Skill(usize),
    /// The bend of that edge in that column.
    Bend(usize, usize),
}

struct Layout {
    columns: Vec<Vec<Place>>,
    /// The places that each call passes through, in order.
    paths: Vec<Vec<Place>>,
}

/// The graph as an SVG document.
pub fn draw(graph: &SkillGraph) -> String {
    let mut layout = Layout::new(graph);
    layout.order();
    let widths: Vec<f64> = layout.columns.iter().map(|column| width(graph, column)).collect();
    let mut left = Vec::new();
    let mut edge = MARGIN;
    for width in &widths {
        left.push(edge);
        edge += width + GAP;
    }
    let rows = layout.columns.iter().map(Vec::len).max().unwrap_or(0);
    let (total_width, total_height) =
        ((edge - GAP + MARGIN).max(2.0 * MARGIN), rows as f64 * ROW + 2.0 * MARGIN);
    let mut at: BTreeMap<Place, (usize, f64)> = BTreeMap::new();
    for (number, column) in layout.columns.iter().enumerate() {
        let above = (rows - column.len()) as f64 * ROW / 2.0;
        for (row, place) in column.iter().enumerate() {
            at.insert(*place, (number, MARGIN + above + (row as f64 + 0.5) * ROW));
        }
    }

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total_width:.0}\" height=\"{total_height:.0}\" \
         font-family=\"monospace\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for path in &layout.paths {
        let mut line = String::new();
        for (number, place) in path.iter().enumerate() {
            let Some(&(column, y)) = at.get(place) else { continue };
            let (start, end) = (left[column], left[column] + widths[column]);
            if number == 0 {
                let _ = write!(line, "M{end:.1} {y:.1}");
                continue;
            }
            // From the right edge of the column before to the left edge of this one, then across a bend.
            let from = start - GAP;
            let previous = path.get(number - 1).and_then(|place| at.get(place)).map_or(y, |place| place.1);
            let middle = from + GAP / 2.0;
            let _ = write!(line, " C{middle:.1} {previous:.1} {middle:.1} {y:.1} {start:.1} {y:.1}");
            if matches!(place, Place::Bend(..)) {
                let _ = write!(line, " L{end:.1} {y:.1}");
            }
        }
        let _ = writeln!(svg, "<path d=\"{line}\" fill=\"none\" stroke=\"#888\"/>");
    }
    for (number, node) in graph.nodes.iter().enumerate() {
        let Some(&(column, y)) = at.get(&Place::Skill(number)) else { continue };
        let (x, width) = (left[column], widths[column]);
        let dash = if node.stale { " stroke-dasharray=\"4 3\"" } else { "" };
        let round = if node.reflex { 10 } else { 3 };
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"{round}\" \
             fill=\"#eef4ff\" stroke=\"#336\"{dash}/>\n<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            y - HEIGHT / 2.0,
            x + 8.0,
            y + 4.0,
            html::escaped(&node.label())
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn width(graph: &SkillGraph, column: &[Place]) -> f64 {
    let characters = column.iter().map(|place| match place {
        Place::Skill(number) => graph.nodes[*number].label().chars().count(),
        Place::Bend(..) => 0,
    });
    characters.max().unwrap_or(0) as f64 * CHARACTER + 16.0
}

impl Layout {
    fn new(graph: &SkillGraph) -> Self {
        let depth = depths(graph);
        let last = depth.iter().copied().max().unwrap_or(0);
        // The caller with the longest chain is leftmost.
        let column = |node: usize| last - depth[node];
        let mut columns = vec![Vec::new(); if graph.nodes.is_empty() { 0 } else { last + 1 }];
        for node in 0..graph.nodes.len() {
            columns[column(node)].push(Place::Skill(node));
        }
        let mut paths = Vec::new();
        for (number, &(from, to)) in graph.edges.iter().enumerate() {
            let mut path = vec![Place::Skill(from)];
            #[allow(clippy::needless_range_loop, reason = "columns are named by their number")]
            for between in column(from) + 1..column(to) {
                let bend = Place::Bend(number, between);
                columns[between].push(bend);
                path.push(bend);
            }
            path.push(Place::Skill(to));
            paths.push(path);
        }
        Self { columns, paths }
    }

    /// Orders each column by the mean position of its neighbours in the column beside it, in both directions.
    fn order(&mut self) {
        let links: Vec<(Place, Place)> =
            self.paths.iter().flat_map(|path| path.windows(2).map(|pair| (pair[0], pair[1]))).collect();
        for sweep in 0..SWEEPS {
            let forward = sweep % 2 == 0;
            for step in 1..self.columns.len() {
                let last = self.columns.len() - 1;
                let (number, beside) =
                    if forward { (step, step - 1) } else { (last - step, last - step + 1) };
                let row: BTreeMap<Place, usize> =
                    self.columns[beside].iter().enumerate().map(|(row, place)| (*place, row)).collect();
                let mean = |place: Place, stay: usize| {
                    let neighbour = |&(from, to): &(Place, Place)| {
                        let (own, other) = if forward { (to, from) } else { (from, to) };
                        (own == place).then(|| row.get(&other)).flatten()
                    };
                    let linked = links.iter().filter_map(neighbour);
                    let (sum, count) = linked.fold((0, 0), |(sum, count), row| (sum + row, count + 1));
                    if count > 0 { sum as f64 / f64::from(count) } else { stay as f64 }
                };
                let mut placed: Vec<(f64, Place)> = self.columns[number]
                    .iter()
                    .enumerate()
                    .map(|(stay, place)| (mean(*place, stay), *place))
                    .collect();
                placed.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.columns[number] = placed.into_iter().map(|(_, place)| place).collect();
            }
        }
    }
}

/// The longest chain of callees below each skill. The library has no cycles; the bound would end the loop if it had.
fn depths(graph: &SkillGraph) -> Vec<usize> {
    let mut depth = vec![0; graph.nodes.len()];
    for _ in 0..graph.nodes.len() {
        let mut changed = false;
        for &(from, to) in &graph.edges {
            if from != to && depth[from] < depth[to] + 1 && depth[to] + 1 < graph.nodes.len() {
                depth[from] = depth[to] + 1;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    depth
}
