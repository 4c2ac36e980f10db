//! The call graph of the skills: for Graphviz, as SVG, or as JSON.

use super::svg;
use crate::args::Format;
use crate::logbook::{SkillCall, SkillGraph};
use crate::output;
use anyhow::{Context as _, Result};
use sojourn_skills::LibraryState;
use std::fmt::Write as _;
use std::path::Path;

/// Writes the graph to a file or to stdout.
pub fn graph(state: &LibraryState, format: Format, file: Option<&Path>, json: bool) -> Result<()> {
    let graph = SkillGraph::of(state);
    if json {
        return Ok(output::json(&graph)?);
    }
    let text = match format {
        Format::Dot => dot(&graph),
        Format::Svg => svg::draw(&graph),
    };
    match file {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
        }
        None => Ok(output::line(text.trim_end())?),
    }
}

fn dot(graph: &SkillGraph) -> String {
    let mut dot =
        String::from("digraph skills {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n");
    for node in &graph.nodes {
        let style = match (node.stale, node.reflex) {
            (true, _) => ", style=dashed",
            (_, true) => ", style=rounded",
            _ => "",
        };
        let _ = writeln!(dot, "  {} [label={}{style}];", quoted(&node.id), quoted(&node.label()));
    }
    for SkillCall { caller, callee } in &graph.named {
        let _ = writeln!(dot, "  {} -> {};", quoted(caller), quoted(callee));
    }
    dot.push_str("}\n");
    dot
}

/// A string of Graphviz. An environment may have any name.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}
