//! A survey of a world before a run: what its state has, and what calls change in it.

use super::super::DriveError;
use super::super::observer::Observer;
use super::super::time_limit::{TimeLimit, WorkWatch};
use super::TrialRunner;
use super::exploration::{EpisodeCount, ExploredWorld};
use crate::core::seeds;
use sojourn_controller::Cancel;
use sojourn_sandbox::{Limits, Sandbox};
use sojourn_synthesis::{ExplorationPlan, StateExplorer, Survey};
use sojourn_tools::{Condition, Environment, TaskSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Calls in one episode where the world does not say how long its episodes are.
const EPISODE_CALLS: u32 = 100;

/// The extent of a survey.
#[derive(Debug, Clone, Copy)]
pub struct SurveyPlan {
    /// The seed of its worlds.
    pub seed: u64,
    /// Episodes at most.
    pub episodes: usize,
    /// Calls after which no further episode begins.
    pub calls: usize,
    /// Time after which no further episode begins.
    pub time: Duration,
}

/// Plays in a practice world of `environment`, towards what was never tried. The survey is empty where there is no such world, or
/// where calls may not be made at random in it.
///
/// # Errors
/// When the world fails, or a person interrupts the survey.
pub async fn survey(
    environment: &dyn Environment,
    sandbox: &Sandbox,
    plan: SurveyPlan,
    observer: Arc<dyn Observer>,
    cancel: Cancel,
) -> Result<Survey, DriveError> {
    let spec = environment.spec();
    let Some(world) = environment.practice().filter(|_| spec.practice && (spec.play || spec.deterministic))
    else {
        return Ok(Survey::default());
    };
    let watch = WorkWatch { cancel, time: TimeLimit::None, observer };
    let runner = TrialRunner {
        sandbox: sandbox.clone(),
        library: Arc::new(BTreeMap::new()),
        reflexes: Vec::new(),
        limits: Limits::default(),
        toolkit: None,
        watch,
    };
    let task = TaskSpec {
        name: "look_around".to_owned(),
        description: String::new(),
        parameters: Vec::new(),
        goal: Condition::Any(Vec::new()),
        achievement: false,
        episodes: None,
    };
    let count = EpisodeCount::new(plan.episodes);
    let worlds = vec![ExploredWorld::new(world, runner, count.clone())];
    let number = |index| seeds::world(plan.seed, "survey", index as u64);
    let exploration = ExplorationPlan {
        task: task.name.clone(),
        seeds: (0..plan.episodes).map(number).collect(),
        actions: 0,
        steps: spec.call_steps(EPISODE_CALLS),
        successes: 0,
        known_skills: Vec::new(),
        quiet: None,
        play_rules: 0,
    };
    let begun = Instant::now();
    let enough = |calls: usize| calls >= plan.calls || begun.elapsed() >= plan.time;
    let explorer =
        StateExplorer { environment: spec, task: &task, plan: &exploration, sandbox: sandbox.clone() };
    let mut survey = explorer.survey(worlds, enough).await?;
    (survey.failed, survey.failure) = count.failures();
    Ok(survey)
}
