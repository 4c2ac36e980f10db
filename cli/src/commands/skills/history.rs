use crate::error::Failure;
use crate::home::Home;
use crate::{duration, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_skills::{LibraryEvent, LibraryState, RecordedEvent};

/// Prints every event of a skill. Uses are counted between the other events.
pub async fn history(home: &Home, name: &str, json: bool) -> Result<()> {
    let library = home.read_library().await?;
    let empty = LibraryState::default();
    let state = library.as_ref().map_or(&empty, |library| library.state());
    if state.history(name).is_none() {
        return Err(Failure::unknown("skill", name, state.histories().map(|(name, _)| name))
            .hint("`sojourn skills list --all` shows all skills")
            .into());
    }
    let records = match &library {
        Some(library) => library.records().await?,
        None => Vec::new(),
    };
    let records: Vec<&RecordedEvent> =
        records.iter().filter(|record| concerns(state, &record.event, name)).collect();
    if json {
        let records: Vec<_> = records
            .into_iter()
            .map(|record| {
                json!({"seq": record.seq, "at_ms": record.at_ms, "source": record.source, "event": light(&record.event)})
            })
            .collect();
        return Ok(output::json(&records)?);
    }
    let mut table = table::new(["when (UTC)", "version", "event", "origin"]);
    table::numbers(&mut table, [1]);
    let (mut uses, mut succeeded) = (0, 0);
    for record in records {
        if let LibraryEvent::Used { usage, .. } = &record.event {
            uses += 1;
            succeeded += u32::from(usage.success);
            continue;
        }
        used(&mut table, &mut uses, &mut succeeded);
        table.add_row([
            duration::date(record.at_ms as i64),
            version(state, &record.event).map_or_else(String::new, |version| version.to_string()),
            description(state, &record.event),
            record.source.clone().unwrap_or_default(),
        ]);
    }
    used(&mut table, &mut uses, &mut succeeded);
    Ok(table::print(&table)?)
}

/// Adds a row for the uses since the last row.
fn used(table: &mut comfy_table::Table, uses: &mut u32, succeeded: &mut u32) {
    if *uses > 0 {
        table.add_row(["", "", &format!("used {uses} times, {succeeded} succeeded"), ""]);
    }
    (*uses, *succeeded) = (0, 0);
}

fn version(state: &LibraryState, event: &LibraryEvent) -> Option<u32> {
    match event {
        LibraryEvent::RolledBack { to, .. } => Some(*to),
        event => Some(state.entry(event.id()?)?.skill.manifest.version),
    }
}

fn concerns(state: &LibraryState, event: &LibraryEvent, asked: &str) -> bool {
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

fn description(state: &LibraryState, event: &LibraryEvent) -> String {
    match event {
        LibraryEvent::Drafted { skill } => {
            match skill.manifest.repairs.as_ref().and_then(|id| state.entry(id)) {
                Some(repaired) => format!("drafted, to repair version {}", repaired.skill.manifest.version),
                None => "drafted".to_owned(),
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
fn light(event: &LibraryEvent) -> serde_json::Value {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    for path in ["/skill", "/event/skill"] {
        if let Some(skill) = value.pointer_mut(path).and_then(serde_json::Value::as_object_mut) {
            skill.remove("wasm");
        }
    }
    value
}
