use super::skills::{change, field, find, heading, state};
use crate::args::{Reflexes, Target};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::logbook::skills::as_json;
use crate::{output, table};
use anyhow::Result;
use sojourn_skills::{Entry, History, Kind as SkillKind, LibraryEvent, LibraryState};

/// Shows the learned reflexes, or switches one.
pub async fn reflexes(home: &Home, command: Reflexes) -> Result<()> {
    match command {
        Reflexes::List { all, json } => list(&state(home).await?, all, json),
        Reflexes::Show { name, version, json } => show(&state(home).await?, &Target { name, version }, json),
        Reflexes::Enable { name, json } => switch(home, name, true, json).await,
        Reflexes::Disable { name, json } => switch(home, name, false, json).await,
    }
}

fn list(state: &LibraryState, all: bool, json: bool) -> Result<()> {
    let acting = state.reflexes();
    let mut entries = acting.clone();
    let names = state.histories().filter(|(_, history)| is_reflex(history));
    for (_, history) in names {
        for entry in &history.versions {
            let in_use = history.active().is_some_and(|active| active.id() == entry.id());
            let listed = acting.iter().any(|acts| acts.id() == entry.id());
            if (all || in_use) && !listed {
                entries.push(entry);
            }
        }
    }
    if json {
        let entries: Vec<_> = entries.into_iter().map(|entry| described(state, entry)).collect();
        return Ok(output::json(&entries)?);
    }
    if entries.is_empty() {
        output::note("no reflexes have been learned yet; those of an agent file are listed there");
        return Ok(());
    }
    let mut table =
        table::new(["reflex", "version", "status", "priority", "cooldown", "steps survived", "what it does"]);
    table::numbers(&mut table, [1, 3, 4]);
    for entry in entries {
        let manifest = &entry.skill.manifest;
        let (priority, cooldown) = urgency(entry);
        let lived = entry.trial.as_ref().map_or_else(String::new, |trial| {
            let steps = trial.figures().steps;
            format!("{:.0} with, {:.0} without", steps.with, steps.without)
        });
        table.add_row([
            manifest.name.clone(),
            manifest.version.to_string(),
            standing(state, entry),
            priority.to_string(),
            format!("{cooldown} steps"),
            lived,
            manifest.description.clone(),
        ]);
    }
    Ok(table::print(&table)?)
}

fn show(state: &LibraryState, target: &Target, json: bool) -> Result<()> {
    let entry = reflex(state, target)?;
    if json {
        return Ok(output::json(&described(state, entry))?);
    }
    heading(state, entry)?;
    let (priority, cooldown) = urgency(entry);
    field("acts", &format!("with priority {priority}, then pauses for {cooldown} steps"))?;
    if !enabled(state, entry) {
        field("", "switched off")?;
    }
    if let Some(trial) = &entry.trial {
        let figures = trial.figures();
        let (steps, done) = (figures.steps, figures.achievements);
        field("admission", &format!("{} episodes, each with it and without", figures.episodes))?;
        field(
            "",
            &format!("steps survived {:.1} / {:.1} (± {:.1})", steps.with, steps.without, steps.error),
        )?;
        field("", &format!("achievements {:.2} / {:.2} (± {:.2})", done.with, done.without, done.error))?;
        field("", &format!("deaths {} / {}", figures.deaths_with, figures.deaths_without))?;
    }
    Ok(output::line(format!("\n{}", entry.skill.source.trim_end()))?)
}

async fn switch(home: &Home, name: String, enabled: bool, json: bool) -> Result<()> {
    let mut library = change::open(home).await?;
    reflex(library.state(), &Target { name: name.clone(), version: None })?;
    change::record(&mut library, &LibraryEvent::Switched { name: name.clone(), enabled }).await?;
    let now = if enabled { "is switched on" } else { "is switched off" };
    let message = format!("{name} {now}, from the next run on");
    change::tell(&library, &name, &message, json)
}

/// The version that was asked for, which must be a reflex.
fn reflex<'a>(state: &'a LibraryState, target: &Target) -> Result<&'a Entry> {
    let names = state.histories().filter(|(_, history)| is_reflex(history)).map(|(name, _)| name);
    match state.history(&target.name) {
        Some(history) if is_reflex(history) => find(state, target),
        Some(_) => Err(Failure::new(Kind::Usage, format!("`{}` is a skill, not a reflex", target.name))
            .hint(format!("`sojourn skills show {}` shows it", target.name))
            .into()),
        None => Err(Failure::unknown("reflex", &target.name, names)
            .hint("`sojourn reflexes list --all` shows those of the library; those of an agent file are listed there")
            .into()),
    }
}

fn is_reflex(history: &History) -> bool {
    history.versions.iter().any(Entry::is_reflex)
}

fn enabled(state: &LibraryState, entry: &Entry) -> bool {
    state.history(entry.name()).is_none_or(|history| !history.disabled)
}

fn standing(state: &LibraryState, entry: &Entry) -> String {
    if enabled(state, entry) { entry.status.to_string() } else { format!("{}, off", entry.status) }
}

/// Priority and cooldown.
fn urgency(entry: &Entry) -> (u8, u32) {
    match entry.skill.manifest.kind {
        SkillKind::Reflex { priority, cooldown } => (priority, cooldown),
        SkillKind::Skill => (0, 0),
    }
}

fn described(state: &LibraryState, entry: &Entry) -> serde_json::Value {
    let mut value = as_json(entry, state);
    value["enabled"] = enabled(state, entry).into();
    value["figures"] = serde_json::json!(entry.trial.as_ref().map(sojourn_skills::ReflexTrial::figures));
    value
}
