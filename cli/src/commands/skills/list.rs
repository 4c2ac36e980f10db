use crate::home::Home;
use crate::logbook::skills::{as_json, standing};
use crate::{output, table};
use anyhow::Result;
use sojourn_skills::{Entry, LibraryState};
use sojourn_tools::signature;

/// Lists the active skills, or all versions.
pub fn list(state: &LibraryState, all: bool, json: bool, home: &Home) -> Result<()> {
    let entries: Vec<&Entry> = if all {
        state.histories().flat_map(|(_, history)| &history.versions).collect()
    } else {
        state.all_active().filter(|entry| !entry.is_reflex()).collect()
    };
    if json {
        let entries: Vec<_> = entries.into_iter().map(|entry| as_json(entry, state)).collect();
        return Ok(output::json(&entries)?);
    }
    if entries.is_empty() {
        output::note(format!(
            "no skills have been learned in `{}` yet; `sojourn run AGENT.TOML` learns skills",
            home.place()
        ));
        return Ok(());
    }
    let mut environments: Vec<&str> = entries.iter().map(|entry| entry.environment()).collect();
    environments.sort_unstable();
    environments.dedup();
    for (at, environment) in environments.iter().enumerate() {
        if environments.len() > 1 {
            output::line(format!("{}in {environment}:", if at > 0 { "\n" } else { "" }))?;
        }
        let own = entries.iter().filter(|entry| entry.environment() == *environment);
        print(state, own.copied())?;
    }
    for (alias, environment, name) in state.aliases() {
        let place = if environments.len() > 1 { format!(" in {environment}") } else { String::new() };
        output::line(format!("{alias} is an alias of {name}{place}"))?;
    }
    Ok(())
}

/// Prints the skills of one environment.
fn print<'a>(state: &LibraryState, entries: impl Iterator<Item = &'a Entry>) -> Result<()> {
    let columns = ["skill", "version", "status", "succeeded", "deaths", "steps/use", "description"];
    let rows = entries.map(|entry| {
        let (manifest, usage) = (&entry.skill.manifest, entry.total_usage());
        let uses = usage.uses();
        [
            signature(&manifest.name, &manifest.parameters),
            manifest.version.to_string(),
            standing(state, entry),
            format!("{} of {uses}", usage.successes),
            usage.deaths.to_string(),
            usage.mean_steps().map_or_else(|| "–".to_owned(), |steps| format!("{steps:.0}")),
            manifest.description.clone(),
        ]
    });
    Ok(table::print_with_texts(columns, &[1, 4, 5], rows.collect())?)
}
