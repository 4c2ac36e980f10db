//! Changes of the library by a person. Each is an event of the library that no run's log has.

use super::test::SkillTester;
use crate::args::Target;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::output;
use crate::worlds::Worlds;
use anyhow::Result;
use serde_json::json;
use sojourn_core::now_ms;
use sojourn_skills::{Entry, History, Library, LibraryEvent, LibraryState, Status, same_source};

/// Deactivates a version.
pub async fn retire(home: &Home, target: &Target, reason: String, json: bool) -> Result<()> {
    let (library, title) = retired(home, target, reason).await?;
    tell(&library, &target.name, &format!("retired {title}"), json)
}

/// The library without this version in use, and the version's name for people.
pub async fn retired(home: &Home, target: &Target, reason: String) -> Result<(Library, String)> {
    let mut library = open(home).await?;
    let (id, title) = named(library.state(), target)?;
    record(&mut library, &LibraryEvent::Retired { id, reason }).await?;
    Ok((library, title))
}

/// Makes a retired version a draft again.
pub async fn unretire(home: &Home, target: &Target, json: bool) -> Result<()> {
    let mut library = open(home).await?;
    let latest_retired = |history: &History| {
        history
            .versions
            .iter()
            .rfind(|entry| entry.status == Status::Retired)
            .map(|entry| Target { name: target.name.clone(), version: Some(entry.skill.manifest.version) })
    };
    let guessed = match target.version {
        None => library.state().history(&target.name).and_then(latest_retired),
        Some(_) => None,
    };
    let (id, title) = named(library.state(), guessed.as_ref().unwrap_or(target))?;
    record(&mut library, &LibraryEvent::Unretired { id }).await?;
    let message =
        format!("{title} is on trial again; `sojourn skills test {} --admit` tries it", target.name);
    tell(&library, &target.name, &message, json)
}

/// Activates an earlier admitted version.
pub async fn roll_back(home: &Home, name: String, to: Option<u32>, json: bool) -> Result<()> {
    let (library, to) = rolled_back(home, &name, to).await?;
    tell(&library, &name, &format!("version {to} of {name} is active again"), json)
}

/// The library with an earlier admitted version in use, and its number.
pub async fn rolled_back(home: &Home, name: &str, to: Option<u32>) -> Result<(Library, u32)> {
    let mut library = open(home).await?;
    super::find(library.state(), &Target { name: name.to_owned(), version: to })?;
    let before = library.state().history(name).and_then(|history| {
        let environment = history.active()?.environment();
        let admitted = history.versions.iter().filter(|entry| entry.status == Status::Admitted);
        let admitted = admitted.filter(|entry| entry.environment() == environment);
        admitted.rev().nth(1).map(|entry| entry.skill.manifest.version)
    });
    let to = to.or(before).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("`{name}` has no earlier admitted version"))
            .hint(format!("`sojourn skills history {name}` shows the versions"))
    })?;
    record(&mut library, &LibraryEvent::RolledBack { name: name.to_owned(), to }).await?;
    Ok((library, to))
}

/// Makes a skill an alias of another one that passes its cases.
pub async fn merge(home: &Home, name: &str, into: &str, json: bool) -> Result<()> {
    let mut library = open(home).await?;
    let target = |name: &str| Target { name: name.to_owned(), version: None };
    let one = super::find(library.state(), &target(name))?.clone();
    let other = super::find(library.state(), &target(into))?.clone();
    let mut evidence = Vec::new();
    if !same_source(&one.skill, &other.skill) {
        let state = library.state().of_environment(one.environment());
        evidence = SkillTester::open(Worlds::of(home, None).await?, &state, one.environment(), true)
            .await?
            .cases(&one.skill, &other.cases(), |_, _| ())
            .await?;
    }
    let environment = Some(one.environment().to_owned());
    let event = LibraryEvent::Merged { name: name.to_owned(), into: into.to_owned(), evidence, environment };
    record(&mut library, &event).await?;
    tell(&library, name, &format!("{name} is now an alias of {into}"), json)
}

/// Opens an existing library for changes.
pub async fn open(home: &Home) -> Result<Library> {
    if home.read_library().await?.is_none() {
        return Err(Failure::new(Kind::NotFound, format!("there are no skills in `{}`", home.place()))
            .hint("`sojourn run AGENT.TOML` learns skills; `sojourn skills import DIR` imports skills")
            .into());
    }
    home.library().await
}

/// Appends an event by a person.
pub async fn record(library: &mut Library, event: &LibraryEvent) -> Result<()> {
    Ok(library.apply(event, u64::try_from(now_ms()).unwrap_or(0)).await?)
}

/// The id of a version, and its name for people.
fn named(state: &LibraryState, target: &Target) -> Result<(sojourn_skills::SkillId, String)> {
    let entry: &Entry = super::find(state, target)?;
    let manifest = &entry.skill.manifest;
    Ok((entry.id().clone(), format!("{} version {}", manifest.name, manifest.version)))
}

/// Prints the change, and the skills that must be tested again.
pub fn tell(library: &Library, name: &str, said: &str, json: bool) -> Result<()> {
    let state = library.state();
    let stale: Vec<&str> =
        state.callers(name).filter(|caller| state.stale_callee(caller).is_some()).map(Entry::name).collect();
    if json {
        let active = state.active(name).map(|entry| entry.skill.manifest.version);
        let alias = Some(state.resolve(name)).filter(|other| *other != name);
        return Ok(output::json(
            &json!({"name": name, "active": active, "alias_of": alias, "stale_callers": stale}),
        )?);
    }
    output::line(said)?;
    if !stale.is_empty() {
        output::line(format!("to be tested again: {}", stale.join(", ")))?;
    }
    Ok(())
}
