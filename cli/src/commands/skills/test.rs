//! `sojourn skills test`: regression cases, and the way from draft to admitted.

use super::{admit, change};
use crate::args::{SkillTest, Target};
use crate::error::Kind;
use crate::home::Home;
use crate::{environments, output, session};
use anyhow::Result;
use serde::Serialize;
use sojourn_core::{RunConfig, StandaloneTrials};
use sojourn_skills::{
    Case, CaseResult, Entry, LibraryEvent, LibraryState, ReflexTrial, Skill, TrialReport, WorldResult,
};
use sojourn_tools::{Environment, signature};
use std::process::ExitCode;

/// Runs skills in worlds, one after the other.
pub struct Bench {
    examiner: StandaloneTrials,
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
        let examiner =
            StandaloneTrials::new(session::sandbox().await?, state, reflexes, &more, limits).await?;
        Ok(Self { examiner, environment: None })
    }

    async fn world(&mut self, name: &str) -> Result<Box<dyn Environment>> {
        match self.environment.take() {
            Some(environment) if environment.spec().name == name => Ok(environment),
            _ => environments::open(name).await,
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
            let world = self.world(&case.setup.environment).await?;
            let (world, result) = self.examiner.case(skill, case, world).await?;
            self.environment = Some(world);
            told(case, &result);
            results.push(result);
        }
        Ok(results)
    }

    /// How a version does in fresh practice worlds.
    pub async fn trial(
        &mut self,
        skill: &Skill,
        seed: u64,
        told: impl FnMut(&WorldResult),
    ) -> Result<TrialReport> {
        let world = self.world(&skill.manifest.environment).await?;
        let rule = RunConfig::default().actor.admission;
        let (world, report) = self.examiner.admission(skill, &rule, seed, world, told).await?;
        self.environment = Some(world);
        Ok(report)
    }

    /// How whole practice episodes go with a reflex and without it.
    pub async fn reflex_trial(&mut self, skill: &Skill, seed: u64) -> Result<ReflexTrial> {
        let world = self.world(&skill.manifest.environment).await?;
        let (world, trial) = self.examiner.reflex(skill, &RunConfig::default(), seed, world).await?;
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
pub fn progress(line: &str) {
    let _ = output::line(line);
}

/// One case in one line.
pub fn told(case: &Case, result: &CaseResult) -> String {
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
