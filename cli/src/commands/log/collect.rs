use crate::home::Home;
use crate::output;
use anyhow::Result;
use serde_json::json;
use sojourn_memory::{Collected, Garbage, RetentionPolicy, RunId, Store};
use sojourn_skills::Origin;
use std::collections::BTreeMap;
use std::time::Duration;

/// `log gc`: shows or removes runs and blobs that nothing needs.
pub async fn collect(
    home: &Home,
    store: &Store,
    newest: Option<usize>,
    older_than: Option<Duration>,
    yes: bool,
    as_json: bool,
) -> Result<()> {
    let keep = policy(home, newest, older_than).await?;
    let (garbage, freed) = if yes {
        let collected = store.collect(&keep).await?;
        (collected.garbage, Some(collected.freed))
    } else {
        (store.garbage(&keep).await?, None)
    };
    if as_json {
        return Ok(output::json(&json!({"removed": yes, "freed": freed, "garbage": garbage}))?);
    }
    tell(&garbage)?;
    match freed {
        Some(freed) => output::line(format!("removed; the database is {} smaller", output::bytes(freed)))?,
        None if garbage.blobs + garbage.records > 0 => {
            output::line("nothing was changed: add `--yes` to remove it")?;
        }
        None => {}
    }
    Ok(())
}

/// What is kept: what the limits say, and the runs that the library needs.
///
/// # Errors
/// The library cannot be read.
pub async fn policy(
    home: &Home,
    newest: Option<usize>,
    older_than: Option<Duration>,
) -> Result<RetentionPolicy> {
    let since_ms = older_than.map(|age| sojourn_core::now_ms().saturating_sub(age.as_millis() as i64));
    Ok(RetentionPolicy { newest, since_ms, needed: schools(home).await? })
}

/// A collection in one line.
pub fn in_words(Collected { garbage, freed }: &Collected) -> String {
    format!("removed {}; the database is {} smaller", counted(garbage), output::bytes(*freed))
}

fn tell(garbage: &Garbage) -> Result<()> {
    for run in &garbage.runs {
        output::line(format!("run {run}"))?;
    }
    for (run, reason) in &garbage.needed {
        output::line(format!("run {run} stays: {reason}"))?;
    }
    Ok(output::line(format!("{}: {}", counted(garbage), output::bytes(garbage.bytes)))?)
}

fn counted(Garbage { runs, records, blobs, .. }: &Garbage) -> String {
    format!(
        "{} with {}, {} that nothing refers to",
        output::counted(runs.len(), "run"),
        output::counted(*records, "record"),
        output::counted(*blobs, "blob")
    )
}

/// The runs in which the library's skills were learned.
async fn schools(home: &Home) -> Result<BTreeMap<RunId, &'static str>> {
    let Some(library) = home.read_library().await? else { return Ok(BTreeMap::new()) };
    let versions = library.state().histories().flat_map(|(_, history)| &history.versions);
    Ok(versions
        .filter_map(|entry| match &entry.skill.manifest.origin {
            Origin::Model { run, .. }
            | Origin::Exploration { run, .. }
            | Origin::Recipe { run }
            | Origin::Recorded { run: Some(run) } => run.parse().ok(),
            Origin::Recorded { run: None } | Origin::Human | Origin::Imported | Origin::Builtin => None,
        })
        .map(|run| (run, "skills were learned in it"))
        .collect())
}
