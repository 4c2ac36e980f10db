//! The call graph of the skills of a library.

use serde::Serialize;
use sojourn_skills::LibraryState;
use std::collections::BTreeMap;

/// The active skills and their calls.
#[derive(Debug, Serialize)]
pub struct SkillGraph {
    /// The skills, sorted by name.
    pub nodes: Vec<SkillNode>,
    /// Caller and callee as positions among the nodes.
    #[serde(skip)]
    pub edges: Vec<(usize, usize)>,
    /// Caller and callee by their ids.
    #[serde(rename = "edges")]
    pub named: Vec<SkillCall>,
}

/// One active skill.
#[derive(Debug, Serialize)]
pub struct SkillNode {
    /// What no other node has: the name, and where a skill of another environment has that name too, `name (environment)`.
    pub id: String,
    /// The skill's name.
    pub name: String,
    /// The environment that it is a skill of.
    pub environment: String,
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

/// A call of one skill by another, by their ids.
#[derive(Debug, Serialize)]
pub struct SkillCall {
    /// The skill that calls.
    pub caller: String,
    /// The skill that is called.
    pub callee: String,
}

impl SkillGraph {
    /// The graph of the active skills.
    pub fn of(state: &LibraryState) -> Self {
        let mut namesakes: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in state.all_active() {
            *namesakes.entry(entry.name()).or_default() += 1;
        }
        let nodes: Vec<SkillNode> = state
            .all_active()
            .map(|entry| {
                let usage = entry.total_usage();
                SkillNode {
                    id: if namesakes[entry.name()] > 1 {
                        format!("{} ({})", entry.name(), entry.environment())
                    } else {
                        entry.name().to_owned()
                    },
                    name: entry.name().to_owned(),
                    environment: entry.environment().to_owned(),
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
        let id = |at: usize| nodes[at].id.clone();
        let named = edges.iter().map(|&(from, to)| SkillCall { caller: id(from), callee: id(to) }).collect();
        Self { nodes, edges, named }
    }
}

impl SkillNode {
    /// `collect_wood v2, 7 of 9`; `open (keys) v1` where a skill of another environment has the name too.
    pub fn label(&self) -> String {
        let used =
            if self.uses > 0 { format!(", {} of {}", self.successes, self.uses) } else { String::new() };
        format!("{} v{}{used}", self.id, self.version)
    }
}
