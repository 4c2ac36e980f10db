//! The search for a repair of a recorded skill, outside of any run.

use super::super::DriveError;
use super::super::observer::Observer;
use super::super::time_limit::{TimeLimit, WorkWatch};
use super::TrialRunner;
use super::exploration::{EpisodeCount, ExploredWorld};
use crate::core::seeds;
use serde_json::{Map, Value};
use sojourn_controller::Cancel;
use sojourn_sandbox::{Limits, Sandbox};
use sojourn_synthesis::{Healed, Healer};
use sojourn_tools::{Environment, EnvironmentSpec, Parameter, RecordedStep, TaskSpec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A skill to repair, and the limits of the search.
#[derive(Debug, Clone, Copy)]
pub struct HealingPlan<'a> {
    /// The specification of the world, with what its elements are.
    pub environment: &'a EnvironmentSpec,
    /// The task whose goal the skill reached.
    pub task: &'a TaskSpec,
    /// What was recorded.
    pub recorded: &'a [RecordedStep],
    /// The skill's parameters.
    pub parameters: &'a [Parameter],
    /// The arguments of one of its cases.
    pub arguments: &'a Map<String, Value>,
    /// The seed of the worlds.
    pub seed: u64,
    /// Episodes at most.
    pub episodes: usize,
}

/// Looks in `world`, where everything that is tried has its effect, for a way near the recorded one.
///
/// # Errors
/// When the world fails, or a person interrupts the search.
pub async fn heal_recording(
    world: Box<dyn Environment>,
    sandbox: &Sandbox,
    plan: HealingPlan<'_>,
    observer: Arc<dyn Observer>,
    cancel: Cancel,
) -> Result<Option<Healed>, DriveError> {
    let runner = TrialRunner {
        sandbox: sandbox.clone(),
        library: Arc::new(BTreeMap::new()),
        reflexes: Vec::new(),
        limits: Limits::default(),
        toolkit: None,
        watch: WorkWatch { cancel, time: TimeLimit::None, observer },
    };
    let mut world = ExploredWorld::new(world, runner, EpisodeCount::new(plan.episodes));
    let own = |seed| plan.task.episodes.map_or(seed, |class| class.at_or_before(seed));
    let seeds: Vec<u64> = (0..plan.episodes as u64)
        .map(|index| own(seeds::world(plan.seed, "repair of a recording", index)))
        .collect();
    let HealingPlan { environment, task, recorded, parameters, arguments, .. } = plan;
    let healer = Healer { environment, task, recorded, parameters, arguments };
    Ok(healer.heal(&mut world, &seeds).await?)
}
