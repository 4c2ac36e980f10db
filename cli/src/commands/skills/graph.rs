//! The call graph of the skills: for Graphviz, as SVG, or as JSON.

use super::svg;
use crate::args::Format;
use crate::output;
use anyhow::{Context as _, Result};
use serde::Serialize;
use sojourn_skills::LibraryState;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// The active skills and their calls.
#[derive(Debug, Serialize)]
pub struct Graph {
    /// The skills, sorted by name.
    pub nodes: Vec<Node>,
    /// Caller and callee as positions among the nodes.
    #[serde(skip)]
    pub edges: Vec<(usize, usize)>,
    /// Caller and callee by name.
    #[serde(rename = "edges")]
    named: Vec<Edge>,
}

/// One active skill.
#[derive(Debug, Serialize)]
pub struct Node {
    /// The skill's name.
    pub name: String,
    /// The active version.
    pub version: u32,
    /// The number of successful uses.
    pub successes: u32,
    /// The number of uses.
    pub uses: u32,
    /// Whether a callee changed since the skill was tested.
    pub stale: bool,
    /// Whether it is a reflex.
    pub reflex: bool,
}

#[derive(Debug, Serialize)]
struct Edge {
    caller: String,
    callee: String,
}

impl Graph {
    fn of(state: &LibraryState) -> Self {
        let nodes: Vec<Node> = state
            .all_active()
            .map(|entry| {
                let usage = entry.total_usage();
                Node {
                    name: entry.name().to_owned(),
                    version: entry.skill.manifest.version,
                    successes: usage.successes,
                    uses: usage.uses(),
                    stale: state.stale_callee(entry).is_some(),
                    reflex: entry.is_reflex(),
                }
            })
            .collect();
        let at: BTreeMap<_, usize> =
            state.all_active().enumerate().map(|(at, entry)| (entry.id().clone(), at)).collect();
        let mut edges = Vec::new();
        for (caller, entry) in state.all_active().enumerate() {
            let callees = state.callees(entry).filter_map(|name| state.active_in(name, entry.environment()));
            edges.extend(callees.filter_map(|callee| at.get(callee.id())).map(|callee| (caller, *callee)));
        }
        edges.dedup();
        let name = |at: usize| nodes[at].name.clone();
        let named = edges.iter().map(|&(from, to)| Edge { caller: name(from), callee: name(to) }).collect();
        Self { nodes, edges, named }
    }

    fn dot(&self) -> String {
        let mut dot =
            String::from("digraph skills {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n");
        for node in &self.nodes {
            let style = match (node.stale, node.reflex) {
                (true, _) => ", style=dashed",
                (_, true) => ", style=rounded",
                _ => "",
            };
            let _ = writeln!(dot, "  {} [label=\"{}\"{style}];", node.name, node.label());
        }
        for Edge { caller, callee } in &self.named {
            let _ = writeln!(dot, "  {caller} -> {callee};");
        }
        dot.push_str("}\n");
        dot
    }
}

impl Node {
    /// `collect_wood v2, 7 of 9`.
    pub fn label(&self) -> String {
        let used =
            if self.uses > 0 { format!(", {} of {}", self.successes, self.uses) } else { String::new() };
        format!("{} v{}{used}", self.name, self.version)
    }
}

/// Writes the graph to a file or to stdout.
pub fn graph(state: &LibraryState, format: Format, file: Option<&Path>, json: bool) -> Result<()> {
    let graph = Graph::of(state);
    if json {
        return Ok(output::json(&graph)?);
    }
    let text = match format {
        Format::Dot => graph.dot(),
        Format::Svg => svg::draw(&graph),
    };
    match file {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
        }
        None => Ok(output::line(text.trim_end())?),
    }
}
