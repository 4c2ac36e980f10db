//! `sojourn skills test`: regression cases, and the admission of drafts.

use super::{admit, change};
use crate::args::{SkillTest, Target};
use crate::error::Kind;
use crate::home::Home;
use crate::worlds::Worlds;
use crate::{output, session};
use anyhow::Result;
use serde::Serialize;
use sojourn_core::{RunConfig, StandaloneTrials};
use sojourn_skills::{
    Case, CaseResult, Entry, LibraryEvent, LibraryState, ReflexTrial, Skill, TrialReport, WorldResult,
};
use sojourn_tools::{Environment, signature};
use std::process::ExitCode;

/// Runs skills in worlds, one after the other, and reuses the environment.
pub struct SkillTester {
    trials: StandaloneTrials,
    environment: Option<Box<dyn Environment>>,
    worlds: Worlds,
}

/// The test result of one version.
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

/// The result of one case.
#[derive(Debug, Serialize)]
struct Line {
    seed: u64,
    recorded_steps: u32,
    #[serde(flatten)]
    result: CaseResult,
}

impl SkillTester {
    /// Prepares the skills of the library of `environment`, and the reflexes that come with that environment.
    pub async fn open(
        worlds: Worlds,
        state: &LibraryState,
        environment: &str,
        reflexes: bool,
    ) -> Result<Self> {
        let environment = worlds.own_name().unwrap_or(environment);
        let more = if reflexes { worlds.reflexes(environment)? } else { Vec::new() };
        let limits = RunConfig::default().actor.limits;
        let trials = StandaloneTrials::new(session::sandbox().await?, state, reflexes, &more, limits).await?;
        Ok(Self { trials, environment: None, worlds })
    }

    async fn world(&mut self, name: &str) -> Result<Box<dyn Environment>> {
        match self.environment.take() {
            Some(environment) if environment.spec().name == name => Ok(environment),
            _ => self.worlds.open(name).await,
        }
    }

    /// Runs a version in these cases; `report` receives each result.
    pub async fn cases(
        &mut self,
        skill: &Skill,
        cases: &[Case],
        mut report: impl FnMut(&Case, &CaseResult),
    ) -> Result<Vec<CaseResult>> {
        let mut results = Vec::new();
        for case in cases {
            let world = self.world(&case.setup.environment).await?;
            let (world, result) = self.trials.case(skill, case, world).await?;
            self.environment = Some(world);
            report(case, &result);
            results.push(result);
        }
        Ok(results)
    }

    /// Runs a version in fresh practice worlds; `report` receives each result.
    pub async fn trial(
        &mut self,
        skill: &Skill,
        seed: u64,
        report: impl FnMut(&WorldResult),
    ) -> Result<TrialReport> {
        let world = self.world(&skill.manifest.environment).await?;
        let rule = RunConfig::default().actor.admission;
        let (world, trial) = self.trials.admission(skill, &rule, seed, world, report).await?;
        self.environment = Some(world);
        Ok(trial)
    }

    /// Runs whole practice episodes with a reflex and without it.
    pub async fn reflex_trial(&mut self, skill: &Skill, seed: u64) -> Result<ReflexTrial> {
        let world = self.world(&skill.manifest.environment).await?;
        let (world, trial) = self.trials.reflex(skill, &RunConfig::default(), seed, world).await?;
        self.environment = Some(world);
        Ok(trial)
    }
}

/// Runs the cases of one skill or of all, or tries a draft.
pub async fn test(home: &Home, args: &SkillTest) -> Result<ExitCode> {
    if args.admit {
        return admit::admit(home, args).await;
    }
    let mut library = if args.renew { Some(change::open(home).await?) } else { home.read_library().await? };
    let state = library.as_ref().map(|library| library.state().clone()).unwrap_or_default();
    let worlds = Worlds::of(home, args.agent.as_deref()).await?;
    let entries: Vec<&Entry> = if let Some(name) = &args.name {
        let found = super::find(&state, &Target { name: name.clone(), version: args.version })?;
        let own = worlds.own_name().filter(|_| args.version.is_none());
        vec![own.and_then(|environment| state.active_in(name, environment)).unwrap_or(found)]
    } else {
        let fits =
            |entry: &&Entry| worlds.own_name().is_none_or(|name| name == entry.skill.manifest.environment);
        state.all_active().filter(|entry| !entry.is_reflex()).filter(fits).collect()
    };
    let mut tester: Option<(SkillTester, &str)> = None;
    let mut reports = Vec::new();
    for entry in entries {
        let opened = tester.take().filter(|(_, environment)| *environment == entry.environment());
        let (tester, _) = if let Some(opened) = opened {
            tester.insert(opened)
        } else {
            let own = state.of_environment(entry.environment());
            let opened =
                SkillTester::open(worlds.clone(), &own, entry.environment(), !args.no_reflex).await?;
            tester.insert((opened, entry.environment()))
        };
        if !args.json {
            let manifest = &entry.skill.manifest;
            let title = signature(&manifest.name, &manifest.parameters);
            output::line(format!("{title}, version {}", manifest.version))?;
        }
        let cases = entry.cases();
        let results = tester
            .cases(&entry.skill, &cases, |case, result| {
                if !args.json {
                    progress(&case_line(case, result));
                }
            })
            .await?;
        let mut tested = Tested::new(entry, &cases, &results);
        if args.renew && state.stale_callee(entry).is_some() && tested.failed == 0 && tested.passed > 0 {
            let own = state.of_environment(entry.environment());
            let prerequisites = own.prerequisites(&entry.skill.manifest.calls);
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

/// Prints a line of the result while the rest is still running. A closed stdout is an error at the end.
pub fn progress(line: &str) {
    let _ = output::line(line);
}

/// A case and its result in one line.
pub fn case_line(case: &Case, result: &CaseResult) -> String {
    let verdict = match (result.reached, result.passed) {
        (false, _) => "not started",
        (true, true) => "passed",
        (true, false) => "FAILED",
    };
    let args: Vec<String> =
        case.setup.calls.iter().map(|args| serde_json::to_string(args).unwrap_or_default()).collect();
    let steps = match result.steps {
        // Older records have the steps of several calls, but the arguments of the first call only.
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
    // A skill without a single started case was not tested.
    let untested: Vec<&str> = reports
        .iter()
        .filter(|tested| tested.passed + tested.failed == 0)
        .map(|tested| tested.name.as_str())
        .collect();
    if json {
        output::json(&reports)?;
    } else {
        let skills = output::counted(reports.len(), "skill");
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
