//! `sojourn skills test --admit`: admits drafts by the same trial as a run's own candidates.

use super::change;
use super::test::{SkillTester, case_line, progress};
use crate::args::{SkillTest, Target};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::waiting::Waiting;
use crate::worlds::Worlds;
use crate::{environments, output};
use anyhow::Result;
use serde::Serialize;
use sojourn_core::{DriveError, RunConfig};
use sojourn_skills::{
    Entry, Library, LibraryError, LibraryEvent, LibraryState, Origin, ReflexTrial, SkillId, Status,
    TrialReport, WorldResult, same_behaviour, same_source,
};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The result of the trial of one version.
#[derive(Debug, Serialize)]
struct Tried {
    name: String,
    version: u32,
    admitted: bool,
    /// Why the version was not admitted.
    reason: Option<String>,
    /// The skill that passes the same cases, into which this one was merged.
    merged_into: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<TrialReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reflex_trial: Option<ReflexTrial>,
}

/// Tries one version, or every draft. Drafts may call each other: the trials are repeated while one was admitted.
pub async fn admit(home: &Home, args: &SkillTest) -> Result<ExitCode> {
    let mut library = change::open(home).await?;
    let mut tried: BTreeMap<SkillId, Tried> = BTreeMap::new();
    if args.all {
        loop {
            let admitted = |tried: &BTreeMap<SkillId, Tried>| tried.values().filter(|t| t.admitted).count();
            let before = admitted(&tried);
            for id in drafts(library.state()) {
                if tried.get(&id).is_none_or(|one| !one.admitted) {
                    let one = attempt(home, &mut library, &id, args).await?;
                    tried.insert(id, one);
                }
            }
            if admitted(&tried) == before {
                break;
            }
        }
    } else {
        let id = candidate(library.state(), args)?;
        check_admissible(library.state().entry(&id))?;
        let one = attempt(home, &mut library, &id, args).await?;
        tried.insert(id, one);
    }
    let mut tried: Vec<Tried> = tried.into_values().collect();
    tried.sort_by(|a, b| a.name.cmp(&b.name));
    let refused = tried.iter().filter(|one| !one.admitted).count();
    if args.json {
        output::json(&tried)?;
    } else if args.all {
        output::line(format!("{} of {} drafts are admitted", tried.len() - refused, tried.len()))?;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure as u8) })
}

/// The latest version of every name without an active version, where it is a draft or on trial.
fn drafts(state: &LibraryState) -> Vec<SkillId> {
    let latest = state.histories().filter_map(|(_, history)| history.versions.last());
    let latest = latest.filter(|entry| state.active_in(entry.name(), entry.environment()).is_none());
    let waiting = latest.filter(|entry| matches!(entry.status, Status::Draft | Status::Trial));
    waiting.map(|entry| entry.id().clone()).collect()
}

/// The version to try: the given one, or the latest that is a draft or on trial.
fn candidate(state: &LibraryState, args: &SkillTest) -> Result<SkillId> {
    let target = Target { name: args.name.clone().unwrap_or_default(), version: args.version };
    let found = super::find(state, &target)?;
    let waits = |entry: &&Entry| matches!(entry.status, Status::Draft | Status::Trial);
    let waiting = state.history(&target.name).and_then(|history| history.versions.iter().rfind(waits));
    Ok(match (args.version, waiting) {
        (None, Some(entry)) => entry.id().clone(),
        _ => found.id().clone(),
    })
}

fn check_admissible(entry: Option<&Entry>) -> Result<()> {
    let Some(entry) = entry else { return Ok(()) };
    let (name, version) = (entry.name(), entry.skill.manifest.version);
    let (reason, hint) = match entry.status {
        Status::Admitted => ("is already admitted", format!("`sojourn skills test {name}` runs its cases")),
        Status::Retired => (
            "is retired",
            format!("`sojourn skills unretire {name} --version {version}` makes it a draft again"),
        ),
        Status::Draft | Status::Trial => return Ok(()),
    };
    Err(Failure::new(Kind::Usage, format!("`{name}` version {version} {reason}")).hint(hint).into())
}

/// Tries a version and reports the result.
async fn attempt(home: &Home, library: &mut Library, id: &SkillId, args: &SkillTest) -> Result<Tried> {
    let state = library.state().clone();
    let Some(entry) = state.entry(id) else {
        return Err(Failure::new(Kind::NotFound, "the draft no longer exists").into());
    };
    let mut tried = Tried {
        name: entry.name().to_owned(),
        version: entry.skill.manifest.version,
        admitted: false,
        reason: None,
        merged_into: None,
        trial: None,
        reflex_trial: None,
    };
    let say = |line: &str| {
        if !args.json {
            progress(line);
        }
    };
    let title = format!("{}, version {}", tried.name, tried.version);
    say(&title);
    // What is printed may go to a program, while a person waits.
    let _waiting =
        (output::is_watched() && !output::is_terminal()).then(|| Waiting::on(&format!("trying {title}")));
    let unused = state.callees(entry).find(|name| state.active_in(name, entry.environment()).is_none());
    let worlds = Worlds::of(home, args.agent.as_deref()).await?;
    let manifest = &entry.skill.manifest;
    let trusted = manifest.origin != Origin::Imported
        || worlds.own_name() == Some(manifest.environment.as_str())
        || environments::is_trusted(home.environments(), &manifest.environment, args.environment.as_deref())?;
    let own = state.of_environment(entry.environment());
    let mut tester = SkillTester::open(worlds, &own, entry.environment(), !args.no_reflex).await?;
    let event = match unused {
        Some(callee) => Err(format!("`{callee}`, which it calls, is not active")),
        None if !trusted => Err(format!(
            "it was imported, and its environment `{0}` runs a program; `--environment {0}` says that you trust it",
            manifest.environment
        )),
        None if entry.is_reflex() => {
            let trial = tester.reflex_trial(&entry.skill, args.seed).await?;
            tried.reflex_trial = Some(trial.clone());
            let rule = RunConfig::default().reflexes.unwrap_or_default().rule;
            Ok(LibraryEvent::ReflexAdmitted { id: id.clone(), trial, rule })
        }
        None => match trial(&mut tester, &state, entry, args.seed, &say).await {
            Ok(report) => {
                tried.trial = Some(report.clone());
                let rule = RunConfig::default().actor.admission;
                Ok(LibraryEvent::Admitted { id: id.clone(), report, rule })
            }
            Err(error) => match error.downcast_ref() {
                Some(DriveError::Unusable(reason)) => Err(reason.clone()),
                _ => return Err(error),
            },
        },
    };
    let event = match event {
        Ok(event) => event,
        Err(reason) => {
            say(&format!("  not tried: {reason}"));
            tried.reason = Some(reason);
            return Ok(tried);
        }
    };
    if entry.status == Status::Draft {
        change::record(library, &LibraryEvent::TrialStarted { id: id.clone() }).await?;
    }
    if let Err(error) = change::record(library, &event).await {
        let Some(LibraryError::Illegal(illegal)) = error.downcast_ref() else { return Err(error) };
        say(&format!("  not admitted: {illegal}"));
        tried.reason = Some(illegal.to_string());
        return Ok(tried);
    }
    tried.admitted = true;
    tried.merged_into = merge(library, &mut tester, entry).await?;
    match &tried.merged_into {
        Some(other) => say(&format!("  equals {other}: it is now an alias of it")),
        None => say("  admitted"),
    }
    Ok(tried)
}

/// A trial in fresh worlds and, for a repair, in the cases of the version that it repairs.
async fn trial(
    tester: &mut SkillTester,
    state: &LibraryState,
    entry: &Entry,
    seed: u64,
    say: &impl Fn(&str),
) -> Result<TrialReport> {
    let mut report = tester.trial(&entry.skill, seed, |world| say(&format!("  {}", in_world(world)))).await?;
    if let Some(repaired) = entry.skill.manifest.repairs.as_ref().and_then(|id| state.entry(id)) {
        let cases = repaired.cases();
        report.regressions =
            tester.cases(&entry.skill, &cases, |case, result| say(&case_line(case, result))).await?;
    }
    Ok(report)
}

/// Merges a skill that was just admitted into one that passes the same cases; returns that one's name.
async fn merge(library: &mut Library, tester: &mut SkillTester, entry: &Entry) -> Result<Option<String>> {
    let state = library.state().clone();
    let promise = |entry: &Entry| {
        let manifest = &entry.skill.manifest;
        (manifest.environment.clone(), manifest.parameters.clone(), manifest.postcondition.clone())
    };
    let name = entry.name();
    if entry.is_reflex() {
        return Ok(None);
    }
    let alike = state.all_active().filter(|other| other.name() != name && !other.is_reflex());
    for other in alike.filter(|other| promise(other) == promise(entry)) {
        let mut evidence = Vec::new();
        if !same_source(&entry.skill, &other.skill) {
            evidence = tester.cases(&entry.skill, &other.cases(), |_, _| ()).await?;
            if !same_behaviour(other, &evidence) {
                continue;
            }
        }
        let into = other.name().to_owned();
        let environment = Some(entry.environment().to_owned());
        let event = LibraryEvent::Merged { name: name.to_owned(), into: into.clone(), evidence, environment };
        if change::record(library, &event).await.is_ok() {
            return Ok(Some(into));
        }
    }
    Ok(None)
}

/// A world of a trial in one line.
pub fn in_world(world: &WorldResult) -> String {
    let verdict = if world.passed() { "passed" } else { "FAILED" };
    let why = world.error.as_deref().and_then(|error| error.lines().next());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("world {:<10} {verdict:<11} {} steps{why}", world.seed, world.steps)
}
