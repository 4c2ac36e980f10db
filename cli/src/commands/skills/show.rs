use crate::args::Target;
use crate::logbook::skills::{aliases, as_json, author, standing};
use crate::{duration, output};
use anyhow::Result;
use sojourn_skills::{Code, Entry, LibraryState};
use sojourn_tools::{arguments_schema, signature};

/// Shows one version in full.
pub fn show(state: &LibraryState, target: &Target, json: bool) -> Result<()> {
    let entry = super::find(state, target)?;
    if json {
        return Ok(output::json(&as_json(entry, state))?);
    }
    let manifest = &entry.skill.manifest;
    heading(state, entry)?;
    let calls: Vec<&str> = manifest.calls.iter().map(String::as_str).collect();
    field("calls", &calls.join(", "))?;
    let callers: Vec<&str> =
        state.callers(&manifest.name).map(|caller| caller.skill.manifest.name.as_str()).collect();
    field("called by", &callers.join(", "))?;
    if let Some(callee) = state.stale_callee(entry) {
        field("stale", &format!("`{callee}`, which it calls, is not the version it was tested with"))?;
    }
    if let Some(condition) = &manifest.precondition {
        field("before", &serde_json::to_string(condition)?)?;
    }
    if let Some(condition) = &manifest.postcondition {
        field("after", &serde_json::to_string(condition)?)?;
    }
    if !manifest.parameters.is_empty() {
        field("schema", &arguments_schema(&manifest.parameters).to_string())?;
    }
    if let Some(report) = &entry.report {
        let steps =
            report.mean_steps().map(|steps| format!(", {steps:.0} steps on average")).unwrap_or_default();
        field(
            "admission",
            &format!("{} of {} practice worlds{steps}", report.passes(), report.worlds.len()),
        )?;
    }
    let cases = entry.cases();
    if !cases.is_empty() {
        field("cases", &format!("{}; `sojourn skills test {}` runs them", cases.len(), manifest.name))?;
    }
    let usage = entry.total_usage();
    field(
        "used",
        &format!(
            "{}, {} succeeded, {}, {}",
            output::counted(usage.uses(), "time"),
            usage.successes,
            output::counted(usage.deaths, "death"),
            output::counted(usage.steps, "step")
        ),
    )?;
    if entry.usage.len() > 1 {
        for (context, tally) in &entry.usage {
            field("", &format!("{context}: {} of {} succeeded", tally.successes, tally.uses()))?;
        }
    }
    // Libraries of earlier versions hold the stops of reached goals too.
    if let Some(error) = usage.last_error.as_ref().filter(|_| usage.failures > 0) {
        field("last error", &error.replace('\n', "\n           "))?;
    }
    Ok(output::line(format!("\n{}", entry.skill.source.trim_end()))?)
}

/// Prints what skills and reflexes share: name, description, version, id and author.
pub fn heading(state: &LibraryState, entry: &Entry) -> Result<()> {
    let manifest = &entry.skill.manifest;
    let versions = state.history(&manifest.name).map_or(0, |history| history.versions.len());
    output::line(signature(&manifest.name, &manifest.parameters))?;
    output::line(format!("  {}", manifest.description))?;
    field("version", &format!("{} of {versions}, {}", manifest.version, standing(state, entry)))?;
    field("learned in", entry.environment())?;
    let elsewhere = state.environments_of(&manifest.name);
    for other in elsewhere.into_iter().filter(|other| *other != entry.environment()) {
        if let Some(active) = state.active_in(&manifest.name, other) {
            let version = active.skill.manifest.version;
            let what = if active.name() == manifest.name {
                format!("version {version} is in use in {other}")
            } else {
                format!("it is an alias of {} in {other}", active.name())
            };
            field("", &what)?;
        }
    }
    let aliases = aliases(state, entry);
    field("also called", &aliases.join(", "))?;
    field("id", manifest.id.as_str())?;
    let written = duration::date(manifest.created_ms as i64);
    field("written", &format!("{written} UTC by {}", author(&manifest.origin)))?;
    let repaired = manifest.repairs.as_ref().and_then(|id| state.entry(id));
    if let Some(repaired) = repaired {
        field("repairs", &format!("version {}", repaired.skill.manifest.version))?;
    }
    field("changes", &manifest.changes.join("; "))?;
    if manifest.code == Code::Wasm {
        field("code", "a prebuilt WebAssembly module")?;
    }
    Ok(())
}

/// Prints a name and a value; nothing where the value is empty.
pub fn field(name: &str, value: &str) -> Result<()> {
    if value.is_empty() {
        return Ok(());
    }
    Ok(output::line(format!("{name:<10} {value}"))?)
}
