//! The skill library: what there is, and all of one skill.

use super::{Answer, Shared};
use crate::json::answer;
use crate::query::Query;
use crate::{App, StudioError};
use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};
use sojourn_logbook::skills::{as_json, author, history, standing};
use sojourn_logbook::{Failing, SkillGraph, failing, uses};
use sojourn_skills::{History, Library, LibraryError, LibraryState};
use sojourn_tools::signature;
use std::collections::{BTreeMap, BTreeSet};

/// The most uses of one skill that are sent: the latest.
const MOST_USES: usize = 2000;

async fn library(app: &App) -> Result<Option<Library>, StudioError> {
    match Library::open_read_only(&app.studio.library).await {
        Ok(library) => Ok(Some(library)),
        Err(LibraryError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `GET /skills`
pub async fn list(state: Shared, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let (offset, limit) = (query.number("offset", 0)?, query.limit(500, 2000)?);
    let library = library(&state).await?;
    let empty = LibraryState::default();
    let skills = library.as_ref().map_or(&empty, |library| library.state());
    let total = skills.histories().count();
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let records = match &library {
        Some(library) => library.records().await?,
        None => Vec::new(),
    };
    let failing = failing(skills, &records);
    let page: Vec<Value> = skills
        .histories()
        .skip(offset)
        .take(limit)
        .filter_map(|(name, history)| row(skills, name, history, &failing))
        .collect();
    answer(&headers, &json!({"total": total, "offset": offset, "skills": page}))
}

/// A skill in a line of the list: its active version, or its latest.
fn row(
    state: &LibraryState,
    name: &str,
    history: &History,
    failing: &BTreeMap<(String, String), Failing>,
) -> Option<Value> {
    let entry = history.active().or(history.versions.last())?;
    let (manifest, usage) = (&entry.skill.manifest, entry.total_usage());
    // As on the page of the skill: of all versions.
    let all = || history.versions.iter().map(sojourn_skills::Entry::total_usage);
    let (uses, successes) = (
        all().map(|usage| u64::from(usage.uses())).sum::<u64>(),
        all().map(|usage| u64::from(usage.successes)).sum::<u64>(),
    );
    let failing = failing.get(&(name.to_owned(), manifest.environment.clone()));
    Some(json!({
        "name": name,
        "alias": Some(state.resolve(name)).filter(|other| *other != name),
        "signature": signature(&manifest.name, &manifest.parameters),
        "description": manifest.description,
        "environment": manifest.environment,
        "reflex": entry.is_reflex(),
        "disabled": history.disabled,
        "version": manifest.version,
        "versions": history.versions.len(),
        "status": standing(state, entry),
        "author": author(&manifest.origin),
        "untrusted": manifest.untrusted,
        "uses": uses,
        "successes": successes,
        "deaths": usage.deaths,
        "mean_steps": usage.mean_steps(),
        "failing": failing,
        "last_error": usage.last_error,
        "trial": entry.report.as_ref().map(|report| (report.passes(), report.worlds.len())),
    }))
}

/// `GET /skill-calls`
pub async fn calls(state: Shared, headers: HeaderMap) -> Answer {
    let library = library(&state).await?;
    let empty = LibraryState::default();
    answer(&headers, &SkillGraph::of(library.as_ref().map_or(&empty, |library| library.state())))
}

/// `GET /skills/{name}`
pub async fn one(state: Shared, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let missing = || StudioError::NotFound(format!("no skill has the name `{name}`"));
    let library = library(&state).await?.ok_or_else(missing)?;
    let skills = library.state();
    let versions = &skills.history(&name).ok_or_else(missing)?.versions;
    let versions: Vec<Value> = versions
        .iter()
        .map(|entry| {
            let mut version = as_json(entry, skills);
            version["author"] = json!(author(&entry.skill.manifest.origin));
            version["standing"] = json!(standing(skills, entry));
            version["signature"] = json!(signature(&name, &entry.skill.manifest.parameters));
            version
        })
        .collect();
    let records = library.records().await?;
    let history = history(skills, &records, &name);
    let mut uses = uses(skills, &records, &name);
    let used = uses.len();
    uses.drain(..used.saturating_sub(MOST_USES));
    let also: BTreeSet<&str> =
        skills.aliases().into_iter().filter(|(.., other)| *other == name).map(|(alias, ..)| alias).collect();
    answer(
        &headers,
        &json!({"name": name, "aliases": also, "versions": versions, "history": history,
            "uses": uses, "used": used}),
    )
}
