//! Skills of the library: their versions as JSON, their status, and what happened to them.

use serde::Serialize;
use serde_json::{Value, json};
use sojourn_skills::{Entry, LibraryEvent, LibraryState, Origin, RecordedEvent};
use sojourn_tools::arguments_schema;

/// The status of a version, and whether it must be tested again.
pub fn standing(state: &LibraryState, entry: &Entry) -> String {
    let active = is_in_use(state, entry);
    match state.stale_callee(entry) {
        Some(_) if active => format!("{}, stale", entry.status),
        _ => entry.status.to_string(),
    }
}

/// Whether a call of the version's name in its environment runs it.
fn is_in_use(state: &LibraryState, entry: &Entry) -> bool {
    state.history(entry.name()).is_some_and(|history| history.is_in_use(entry))
}

/// The other names of a version in its environment.
pub fn aliases<'a>(state: &'a LibraryState, entry: &Entry) -> Vec<&'a str> {
    let of = |(alias, environment, name): (&'a str, &str, &str)| {
        (environment == entry.environment() && name == entry.name()).then_some(alias)
    };
    state.aliases().into_iter().filter_map(of).collect()
}

/// The author of a skill.
pub fn author(origin: &Origin) -> String {
    match origin {
        Origin::Model { model, run, seq } => format!("{model} in run {run} (request {seq})"),
        Origin::Recipe { run } => format!("a recipe, in run {run}"),
        Origin::Exploration { run, seq } => format!("exploration {seq} of run {run}"),
        Origin::Human => "a person".to_owned(),
        Origin::Recorded { run: Some(run) } => format!("a recording of run {run}"),
        Origin::Recorded { run: None } => "a person's recording".to_owned(),
        Origin::Imported => "another library".to_owned(),
        Origin::Builtin => "Sojourn".to_owned(),
    }
}

/// One version as JSON.
pub fn as_json(entry: &Entry, state: &LibraryState) -> Value {
    let manifest = &entry.skill.manifest;
    let names = |entries: Vec<&Entry>| -> Vec<String> {
        entries.into_iter().map(|entry| entry.skill.manifest.name.clone()).collect()
    };
    let cases: Vec<_> = entry
        .cases()
        .into_iter()
        .map(|case| json!({"id": case.id(), "setup": case.setup, "steps": case.steps, "behaviour": case.behaviour}))
        .collect();
    json!({
        "manifest": manifest,
        "status": entry.status,
        "active": is_in_use(state, entry),
        "aliases": aliases(state, entry),
        "stale": state.stale_callee(entry),
        "calls_skills": state.callees(entry).collect::<Vec<_>>(),
        "called_by": names(state.callers(&manifest.name).collect()),
        "schema": arguments_schema(&manifest.parameters),
        "usage": entry.total_usage(),
        "usage_by_context": entry.usage,
        "trial": entry.report,
        "reflex_trial": entry.trial,
        "cases": cases,
        "source": entry.skill.source,
    })
}

/// One event of a skill, for people.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryLine {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The version; `None` where the event is about the name.
    pub version: Option<u32>,
    /// What happened.
    pub event: String,
    /// The run and record, or the person.
    pub origin: Option<String>,
}

/// The events of a skill in order, without its uses.
pub fn history(state: &LibraryState, records: &[RecordedEvent], name: &str) -> Vec<HistoryLine> {
    let told = records.iter().filter(|record| {
        concerns(state, &record.event, name) && !matches!(record.event, LibraryEvent::Used { .. })
    });
    told.map(|record| HistoryLine {
        at_ms: record.at_ms,
        version: version(state, &record.event),
        event: description(state, &record.event),
        origin: record.source.clone(),
    })
    .collect()
}

/// The version that an event is about.
pub fn version(state: &LibraryState, event: &LibraryEvent) -> Option<u32> {
    match event {
        LibraryEvent::RolledBack { to, .. } => Some(*to),
        event => Some(state.entry(event.id()?)?.skill.manifest.version),
    }
}

/// Whether an event is about the skill `asked`.
pub fn concerns(state: &LibraryState, event: &LibraryEvent, asked: &str) -> bool {
    match event {
        LibraryEvent::Drafted { skill } => skill.manifest.name == asked,
        LibraryEvent::RolledBack { name, .. } | LibraryEvent::Switched { name, .. } => name == asked,
        LibraryEvent::Merged { name, into, .. } => name == asked || into == asked,
        LibraryEvent::SetAside { event, .. } => concerns(state, event, asked),
        event => {
            event.id().and_then(|id| state.entry(id)).is_some_and(|entry| entry.skill.manifest.name == asked)
        }
    }
}

/// An event in words.
pub fn description(state: &LibraryState, event: &LibraryEvent) -> String {
    match event {
        LibraryEvent::Drafted { skill } => {
            let changes = &skill.manifest.changes;
            let why = if changes.is_empty() { String::new() } else { format!(": {}", changes.join("; ")) };
            match skill.manifest.repairs.as_ref().and_then(|id| state.entry(id)) {
                Some(repaired) => {
                    format!("drafted, to repair version {}{why}", repaired.skill.manifest.version)
                }
                None => format!("drafted{why}"),
            }
        }
        LibraryEvent::TrialStarted { .. } => "on trial".to_owned(),
        LibraryEvent::Admitted { report, .. } => {
            format!("admitted: verified in {} of {} worlds", report.passes(), report.worlds.len())
        }
        LibraryEvent::ReflexAdmitted { trial, .. } => {
            let steps = trial.figures().steps;
            format!("admitted: {:.0} steps survived with it, {:.0} without", steps.with, steps.without)
        }
        LibraryEvent::Retested { results, .. } => {
            format!("tested again: {} cases passed", results.iter().filter(|result| result.passed).count())
        }
        LibraryEvent::Demoted { reason, .. } => format!("back on trial: {reason}"),
        LibraryEvent::Retired { reason, .. } => format!("retired: {reason}"),
        LibraryEvent::Unretired { .. } => "unretired: on trial again".to_owned(),
        LibraryEvent::RolledBack { to, .. } => format!("rolled back to version {to}"),
        LibraryEvent::Merged { name, into, .. } => format!("{name} merged into {into}"),
        LibraryEvent::Switched { enabled: true, .. } => "switched on".to_owned(),
        LibraryEvent::Switched { .. } => "switched off".to_owned(),
        LibraryEvent::SetAside { event, reason } => format!("set aside ({}): {reason}", event.kind()),
        LibraryEvent::Used { .. } => "used".to_owned(),
    }
}

/// An event as JSON, without the compiled module.
pub fn light(event: &LibraryEvent) -> Value {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    for path in ["/skill", "/event/skill"] {
        if let Some(skill) = value.pointer_mut(path).and_then(Value::as_object_mut) {
            skill.remove("wasm");
        }
    }
    value
}
