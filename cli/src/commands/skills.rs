use super::skill_run;
use crate::args::Skills;
use crate::error::Failure;
use crate::home::Home;
use crate::{duration, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_skills::{Entry, LibraryState, Origin};
use sojourn_tools::signature;
use std::process::ExitCode;

/// Shows what was learned.
pub async fn skills(home: Home, command: Skills) -> Result<ExitCode> {
    let library = home.read_library().await?;
    let empty = LibraryState::default();
    let state = library.as_ref().map_or(&empty, |library| library.state());
    match command {
        Skills::List { all, json } => list(state, all, json, &home)?,
        Skills::Run(args) => return skill_run::run(home, state, args).await,
        Skills::Show { name, version, json } => show(find(state, &name, version)?, state, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(state: &LibraryState, all: bool, json: bool, home: &Home) -> Result<()> {
    let entries: Vec<&Entry> = if all {
        state.histories().flat_map(|(_, history)| &history.versions).collect()
    } else {
        state.all_active().collect()
    };
    if json {
        let entries: Vec<_> = entries.into_iter().map(|entry| as_json(entry, state)).collect();
        return Ok(output::json(&entries)?);
    }
    if entries.is_empty() {
        output::note(format!(
            "no skills have been learned in `{}` yet; `sojourn run AGENT.TOML` learns some",
            home.path().display()
        ));
        return Ok(());
    }
    let mut table =
        table::new(["skill", "version", "status", "succeeded", "deaths", "steps/use", "what it does"]);
    table::numbers(&mut table, [1, 4, 5]);
    for entry in entries {
        let (manifest, usage) = (&entry.skill.manifest, entry.total_usage());
        let uses = usage.successes + usage.failures;
        table.add_row([
            signature(&manifest.name, &manifest.parameters),
            manifest.version.to_string(),
            entry.status.to_string(),
            format!("{} of {uses}", usage.successes),
            usage.deaths.to_string(),
            if uses == 0 { "–".to_owned() } else { format!("{:.0}", usage.steps as f64 / f64::from(uses)) },
            manifest.description.clone(),
        ]);
    }
    Ok(table::print(&table)?)
}

/// The version of a skill that was asked for: the active one, else the latest, where no number is given.
pub fn find<'a>(state: &'a LibraryState, name: &str, version: Option<u32>) -> Result<&'a Entry> {
    let Some(history) = state.history(name) else {
        return Err(Failure::unknown("skill", name, state.histories().map(|(name, _)| name))
            .hint("`sojourn skills list --all` shows all skills")
            .into());
    };
    let newest = history.versions.len() as u32;
    let active = state.active(name).map(|entry| entry.skill.manifest.version);
    let number = version.or(active).unwrap_or(newest);
    history.version(number).ok_or_else(|| {
        Failure::new(crate::error::Kind::NotFound, format!("`{name}` has no version {number}"))
            .hint(format!("its versions are 1 to {newest}"))
            .into()
    })
}

fn show(entry: &Entry, state: &LibraryState, json: bool) -> Result<()> {
    if json {
        return Ok(output::json(&as_json(entry, state))?);
    }
    let (manifest, usage) = (&entry.skill.manifest, entry.total_usage());
    let versions = state.history(&manifest.name).map_or(0, |history| history.versions.len());
    output::line(signature(&manifest.name, &manifest.parameters))?;
    output::line(format!("  {}", manifest.description))?;
    output::line(format!("version    {} of {versions}, {}", manifest.version, entry.status))?;
    output::line(format!("id         {}", manifest.id))?;
    output::line(format!(
        "written    {} UTC by {}",
        duration::date(manifest.created_ms as i64),
        author(&manifest.origin)
    ))?;
    if !manifest.calls.is_empty() {
        output::line(format!("calls      {}", manifest.calls.join(", ")))?;
    }
    if let Some(report) = &entry.report {
        let steps =
            report.mean_steps().map(|steps| format!(", {steps:.0} steps on average")).unwrap_or_default();
        output::line(format!(
            "earned by  {} of {} practice worlds{steps}",
            report.passes(),
            report.worlds.len()
        ))?;
    }
    let uses = usage.successes + usage.failures;
    output::line(format!(
        "used       {uses} times, {} succeeded, {} deaths, {} steps",
        usage.successes, usage.deaths, usage.steps
    ))?;
    if let Some(error) = &usage.last_error {
        output::line(format!("last error {}", error.replace('\n', "\n           ")))?;
    }
    output::line(format!("\n{}", entry.skill.source.trim_end()))?;
    Ok(())
}

fn author(origin: &Origin) -> String {
    match origin {
        Origin::Model { model, run, seq } => format!("{model} in run {run} (request {seq})"),
        Origin::Human => "a person".to_owned(),
        Origin::Imported => "another library".to_owned(),
        Origin::Builtin => "Sojourn".to_owned(),
    }
}

fn as_json(entry: &Entry, state: &LibraryState) -> serde_json::Value {
    let manifest = &entry.skill.manifest;
    json!({
        "manifest": manifest,
        "status": entry.status,
        "active": state.active(&manifest.name).is_some_and(|active| active.id() == entry.id()),
        "usage": entry.total_usage(),
        "usage_by_context": entry.usage,
        "trial": entry.report,
        "source": entry.skill.source,
    })
}
