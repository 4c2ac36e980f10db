//! `sojourn skills test`: regression cases, and the way from draft to admitted.

use super::change;
use crate::args::{SkillTest, Target};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::{environments, output, session};
use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use sojourn_core::{Examiner, RunConfig};
use sojourn_skills::{
    Case, CaseResult, Entry, Library, LibraryEvent, LibraryState, Skill, Status, TrialReport, WorldResult,
    same_behaviour, same_source,
};
use sojourn_tools::{Environment, signature};
use std::process::ExitCode;

/// Runs skills in worlds, one after the other.
pub struct Bench {
    examiner: Examiner,
    environment: Option<Box<dyn Environment>>,
}

/// What came of testing one version.
#[derive(Debug, Serialize)]
struct Tested {
    name: String,
    version: u32,
    passed: usize,
    failed: usize,
    /// Cases that could not be started, for example because a skill that prepares them is gone.
    not_started: usize,
    renewed: bool,
    cases: Vec<Line>,
}

/// One case of it.
#[derive(Debug, Serialize)]
struct Line {
    seed: u64,
    recorded_steps: u32,
    #[serde(flatten)]
    result: CaseResult,
}

impl Bench {
    /// Prepares the skills of a library, and the reflexes that come with their environment.
    pub async fn open(state: &LibraryState, reflexes: bool) -> Result<Self> {
        let environment = state.histories().flat_map(|(_, history)| &history.versions).next();
        let more = match environment {
            Some(entry) if reflexes => environments::reflexes(&entry.skill.manifest.environment),
            _ => Vec::new(),
        };
        let limits = RunConfig::default().actor.limits;
        let examiner = Examiner::new(session::sandbox().await?, state, reflexes, &more, limits).await?;
        Ok(Self { examiner, environment: None })
    }

    fn world(&mut self, name: &str) -> Result<Box<dyn Environment>> {
        match self.environment.take() {
            Some(environment) if environment.spec().name == name => Ok(environment),
            _ => environments::open(name),
        }
    }

    /// What a version does in these cases, each told when it is done.
    pub async fn cases(
        &mut self,
        skill: &Skill,
        cases: &[Case],
        mut told: impl FnMut(&Case, &CaseResult),
    ) -> Result<Vec<CaseResult>> {
        let mut results = Vec::new();
        for case in cases {
            let world = self.world(&case.setup.environment)?;
            let (world, result) = self.examiner.case(skill, case, world).await?;
            self.environment = Some(world);
            told(case, &result);
            results.push(result);
        }
        Ok(results)
    }

    /// How a version does in fresh practice worlds.
    async fn trial(
        &mut self,
        skill: &Skill,
        seed: u64,
        told: impl FnMut(&WorldResult),
    ) -> Result<TrialReport> {
        let world = self.world(&skill.manifest.environment)?;
        let rule = RunConfig::default().actor.admission;
        let (world, report) = self.examiner.admission(skill, &rule, seed, world, told).await?;
        self.environment = Some(world);
        Ok(report)
    }
}

/// Runs the cases of one skill or of all, or tries a draft.
pub async fn test(home: &Home, args: &SkillTest) -> Result<ExitCode> {
    if args.admit {
        return admit(home, args).await;
    }
    let mut library = match args.renew {
        true => Some(change::open(home).await?),
        false => home.read_library().await?,
    };
    let state = library.as_ref().map(|library| library.state().clone()).unwrap_or_default();
    let entries: Vec<&Entry> = match &args.name {
        Some(name) => vec![super::find(&state, &Target { name: name.clone(), version: args.version })?],
        None => state.all_active().filter(|entry| !entry.is_reflex()).collect(),
    };
    let mut bench = Bench::open(&state, !args.no_reflex).await?;
    let mut reports = Vec::new();
    for entry in entries {
        if !args.json {
            let manifest = &entry.skill.manifest;
            let title = signature(&manifest.name, &manifest.parameters);
            output::line(format!("{title}, version {}", manifest.version))?;
        }
        let cases = entry.cases();
        let results = bench
            .cases(&entry.skill, &cases, |case, result| {
                if !args.json {
                    progress(&told(case, result));
                }
            })
            .await?;
        let mut tested = Tested::new(entry, &cases, &results);
        if args.renew && state.stale_callee(entry).is_some() && tested.failed == 0 && tested.passed > 0 {
            let prerequisites = state.prerequisites(&entry.skill.manifest.calls);
            let event = LibraryEvent::Retested { id: entry.id().clone(), results, prerequisites };
            if let Some(library) = &mut library {
                change::record(library, &event).await?;
                tested.renewed = true;
            }
        }
        reports.push(tested);
    }
    conclude(&reports, args.json)
}

impl Tested {
    fn new(entry: &Entry, cases: &[Case], results: &[CaseResult]) -> Self {
        let count = |test: fn(&CaseResult) -> bool| results.iter().filter(|result| test(result)).count();
        let lines = cases.iter().zip(results).map(|(case, result)| Line {
            seed: case.setup.seed,
            recorded_steps: case.steps,
            result: result.clone(),
        });
        Self {
            name: entry.skill.manifest.name.clone(),
            version: entry.skill.manifest.version,
            passed: count(|result| result.passed),
            failed: count(|result| result.reached && !result.passed),
            not_started: count(|result| !result.reached),
            renewed: false,
            cases: lines.collect(),
        }
    }
}

/// A line of the result while the rest is still under way. A reader that went away is found at the next line.
fn progress(line: &str) {
    let _ = output::line(line);
}

/// One case in one line.
fn told(case: &Case, result: &CaseResult) -> String {
    let verdict = match (result.reached, result.passed) {
        (false, _) => "not started",
        (true, true) => "passed",
        (true, false) => "FAILED",
    };
    let args: Vec<String> =
        case.setup.calls.iter().map(|args| serde_json::to_string(args).unwrap_or_default()).collect();
    let steps = match result.steps {
        // Older records count the steps of several calls, and know the arguments of the first only.
        steps if steps == case.steps || case.behaviour.is_none() => format!("{steps} steps"),
        steps => format!("{steps} steps, {} when recorded", case.steps),
    };
    let why = result.error.as_deref().and_then(|error| error.lines().next()).unwrap_or_default();
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!(
        "  {}  world {:<10} {:<11} {:<27} {}{why}",
        result.case,
        case.setup.seed,
        verdict,
        steps,
        args.join(" ")
    )
    .trim_end()
    .to_owned()
}

fn conclude(reports: &[Tested], json: bool) -> Result<ExitCode> {
    let sum = |count: fn(&Tested) -> usize| reports.iter().map(count).sum::<usize>();
    let (passed, failed, not_started) = (sum(|t| t.passed), sum(|t| t.failed), sum(|t| t.not_started));
    // A skill of which not a single case could be started was not tested.
    let untested: Vec<&str> = reports
        .iter()
        .filter(|tested| tested.passed + tested.failed == 0)
        .map(|tested| tested.name.as_str())
        .collect();
    if json {
        output::json(&reports)?;
    } else {
        let skills = match reports.len() {
            1 => "1 skill".to_owned(),
            count => format!("{count} skills"),
        };
        let more = if not_started > 0 { format!(", {not_started} not started") } else { String::new() };
        output::line(format!("{skills}: {passed} cases passed, {failed} failed{more}"))?;
        for tested in reports.iter().filter(|tested| tested.renewed) {
            output::line(format!("{} is tested with the skills that it calls now", tested.name))?;
        }
        if !untested.is_empty() {
            output::line(format!("not tested, because no case could be started: {}", untested.join(", ")))?;
        }
    }
    let good = failed == 0 && untested.is_empty();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure as u8) })
}

/// Tries a version in fresh worlds and, for a repair, in the cases of the version that it repairs; admits it if
/// it earned that, and merges it into a skill that does the same.
async fn admit(home: &Home, args: &SkillTest) -> Result<ExitCode> {
    let mut library = change::open(home).await?;
    let target = Target {
        name: args.name.clone().unwrap_or_default(),
        version: Some(candidate(library.state(), args)?),
    };
    let entry = super::find(library.state(), &target)?.clone();
    check_admissible(&entry)?;
    let mut bench = Bench::open(library.state(), !args.no_reflex).await?;
    let quiet = args.json;
    let mut report = bench
        .trial(&entry.skill, args.seed, |world| {
            if !quiet {
                progress(&format!("  {}", in_world(world)));
            }
        })
        .await?;
    if let Some(repaired) = entry.skill.manifest.repairs.as_ref().and_then(|id| library.state().entry(id)) {
        report.regressions = bench
            .cases(&entry.skill, &repaired.cases(), |case, result| {
                if !quiet {
                    progress(&told(case, result));
                }
            })
            .await?;
    }
    if entry.status == Status::Draft {
        change::record(&mut library, &LibraryEvent::TrialStarted { id: entry.id().clone() }).await?;
    }
    let rule = RunConfig::default().actor.admission;
    let event = LibraryEvent::Admitted { id: entry.id().clone(), report: report.clone(), rule };
    let refused = match change::record(&mut library, &event).await {
        Ok(()) => None,
        Err(error) => match error.downcast_ref::<sojourn_skills::LibraryError>() {
            Some(sojourn_skills::LibraryError::Illegal(illegal)) => Some(illegal.to_string()),
            _ => return Err(error),
        },
    };
    let merged = if refused.is_none() { merge(&mut library, &mut bench, &entry).await? } else { None };
    let name = entry.name();
    if args.json {
        output::json(&json!({
            "name": name,
            "version": entry.skill.manifest.version,
            "admitted": refused.is_none(),
            "reason": refused,
            "merged_into": merged,
            "trial": report,
        }))?;
    } else {
        match (&refused, &merged) {
            (Some(reason), _) => output::line(format!("not admitted: {reason}"))?,
            (None, None) => change::tell(&library, name, &format!("{name} is admitted"), false)?,
            (None, Some(other)) => {
                output::line(format!("{name} does what {other} does: it is now another name of it"))?;
            }
        }
    }
    Ok(if refused.is_none() { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure as u8) })
}

/// The version to be tried: the one that was asked for, or the latest that is a draft or on trial.
fn candidate(state: &LibraryState, args: &SkillTest) -> Result<u32> {
    let target = Target { name: args.name.clone().unwrap_or_default(), version: args.version };
    let found = super::find(state, &target)?.skill.manifest.version;
    let waits = |entry: &&Entry| matches!(entry.status, Status::Draft | Status::Trial);
    let waiting = state.history(&target.name).and_then(|history| history.versions.iter().rfind(waits));
    Ok(match (args.version, waiting) {
        (None, Some(entry)) => entry.skill.manifest.version,
        _ => found,
    })
}

fn check_admissible(entry: &Entry) -> Result<()> {
    let (name, version) = (entry.name(), entry.skill.manifest.version);
    let refuse = |reason: &str, hint: String| {
        Err(Failure::new(Kind::Usage, format!("`{name}` version {version} {reason}")).hint(hint).into())
    };
    match entry.status {
        Status::Admitted => {
            refuse("is admitted already", format!("`sojourn skills test {name}` runs its cases"))
        }
        Status::Retired => {
            refuse("is retired", format!("`sojourn skills unretire {name} --version {version}` first"))
        }
        Status::Draft | Status::Trial if entry.is_reflex() => refuse(
            "is a reflex: it is admitted for what it does to whole episodes",
            "a run tries its reflexes by itself".to_owned(),
        ),
        Status::Draft | Status::Trial => Ok(()),
    }
}

/// Merges a skill that was just admitted into one that does the same in the same cases; says into which.
async fn merge(library: &mut Library, bench: &mut Bench, entry: &Entry) -> Result<Option<String>> {
    let state = library.state().clone();
    let promise = |entry: &Entry| {
        let manifest = &entry.skill.manifest;
        (manifest.environment.clone(), manifest.parameters.clone(), manifest.postcondition.clone())
    };
    let name = entry.name();
    let alike = state.all_active().filter(|other| other.name() != name && !other.is_reflex());
    for other in alike.filter(|other| promise(other) == promise(entry)) {
        let mut evidence = Vec::new();
        if !same_source(&entry.skill, &other.skill) {
            evidence = bench.cases(&entry.skill, &other.cases(), |_, _| ()).await?;
            if !same_behaviour(other, &evidence) {
                continue;
            }
        }
        let into = other.name().to_owned();
        let event = LibraryEvent::Merged { name: name.to_owned(), into: into.clone(), evidence };
        if change::record(library, &event).await.is_ok() {
            return Ok(Some(into));
        }
    }
    Ok(None)
}

fn in_world(world: &WorldResult) -> String {
    let verdict = if world.passed() { "passed" } else { "FAILED" };
    let why = world.error.as_deref().and_then(|error| error.lines().next());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("world {:<10} {verdict:<11} {} steps{why}", world.seed, world.steps)
}
