//! The uses of skills over time: in which context, with which result, and since when a skill fails.

use crate::counted;
use serde::Serialize;
use sojourn_skills::{LibraryEvent, LibraryState, RecordedEvent, Use};
use std::collections::BTreeMap;

/// One use of a skill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SkillUse {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The version that was used.
    pub version: u32,
    /// Name of the environment that it is a skill of.
    pub environment: String,
    /// The context: the name of a task, or another label.
    pub context: String,
    /// Whether the post-condition held afterwards.
    pub success: bool,
    /// Whether the agent died during the use.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub died: bool,
    /// Environment steps.
    pub steps: u32,
    /// Why it stopped, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it was a failure, in words, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The run and record, as `RUN/SEQ`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// Failures of a skill without a success after them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failing {
    /// The number of the failures.
    pub failures: u32,
    /// Time of the first of them, in milliseconds since 1970.
    pub since_ms: u64,
    /// The run and record of the first of them.
    pub origin: Option<String>,
    /// The version that failed first.
    pub version: u32,
    /// Why the first of them was a failure, in words.
    pub reason: String,
}

/// Why a use was a failure, in words; `None` where it was none.
fn reason(usage: &Use) -> Option<String> {
    if usage.success {
        return None;
    }
    Some(match &usage.error {
        Some(error) => error.clone(),
        None if usage.died => "the agent died".to_owned(),
        None if usage.steps == 0 => "its goal was not reached, and it took no step".to_owned(),
        None => format!("its goal was not reached in {}", counted(usage.steps, "step")),
    })
}

/// The uses of a skill in order, of all its versions.
pub fn uses(state: &LibraryState, records: &[RecordedEvent], name: &str) -> Vec<SkillUse> {
    all_uses(state, records).filter(|(used, _)| *used == name).map(|(_, one)| one).collect()
}

/// The skills whose latest uses failed, by name and environment: skills of two worlds may have one name.
pub fn failing(state: &LibraryState, records: &[RecordedEvent]) -> BTreeMap<(String, String), Failing> {
    let mut failing: BTreeMap<(String, String), Failing> = BTreeMap::new();
    for (name, one) in all_uses(state, records) {
        let SkillUse { at_ms, version, environment, reason, origin, .. } = one;
        let skill = (name.to_owned(), environment);
        if let Some(reason) = reason {
            let first = Failing { failures: 0, since_ms: at_ms, origin, version, reason };
            failing.entry(skill).or_insert(first).failures += 1;
        } else {
            failing.remove(&skill);
        }
    }
    failing
}

fn all_uses<'a>(
    state: &'a LibraryState,
    records: &'a [RecordedEvent],
) -> impl Iterator<Item = (&'a str, SkillUse)> {
    records.iter().filter_map(|record| {
        let LibraryEvent::Used { id, usage } = &record.event else { return None };
        let manifest = &state.entry(id)?.skill.manifest;
        let one = SkillUse {
            at_ms: record.at_ms,
            version: manifest.version,
            environment: manifest.environment.clone(),
            context: usage.context.clone(),
            success: usage.success,
            died: usage.died,
            steps: usage.steps,
            error: usage.error.clone(),
            reason: reason(usage),
            origin: record.source.clone(),
        };
        Some((manifest.name.as_str(), one))
    })
}
