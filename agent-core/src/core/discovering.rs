//! Discovery of tasks and recipes that the world does not document, stage by stage.

use super::curriculum::Proposal;
use super::planner::Planner;
use super::{Core, Phase, seeds};
use crate::model::{Beliefs, DiscoveryPlan, Effect};
use serde_json::{Map, Value};
use sojourn_tools::outside::quote;
use sojourn_tools::{Condition, EnvironmentSpec, Recipe, TaskSpec, ToolCall};
use std::collections::BTreeSet;

/// Calls in one practice episode after which there are enough episodes for all calls of a stage, also where episodes are short.
const SHORT: u64 = 20;
/// Practice episodes of a stage, at most.
const EPISODES: u64 = 500;
/// Calls that only wait, in one episode or before one trial, at most.
pub(super) const WAITS: u32 = 100;

/// What a run found out about its world.
#[derive(Debug, Default)]
pub(super) struct Discoveries {
    /// Stages so far.
    stages: u32,
    beliefs: Beliefs,
    /// Names of the tasks that were found out.
    tasks: BTreeSet<String>,
}

impl Discoveries {
    /// What earlier runs found out.
    pub(super) fn before(spec: &EnvironmentSpec) -> Self {
        let learned = spec.recipes.iter().filter(|recipe| recipe.evidence.is_some());
        Self { tasks: learned.map(|recipe| recipe.task.clone()).collect(), ..Self::default() }
    }
}

impl Core {
    /// Whether another stage may begin: calls may be made at random in a practice world, and the run wants it.
    pub(super) fn may_discover(&self) -> bool {
        let stages = self.config.discovery.as_ref().map_or(0, |discovery| discovery.stages);
        self.discoveries.stages < stages && self.learns() && (self.spec.play || self.spec.deterministic)
    }

    /// Begins a stage.
    pub(super) fn discover(&mut self) -> Vec<Effect> {
        let Some(limits) = self.config.discovery.clone() else { return self.decide() };
        self.discoveries.stages += 1;
        self.news = true;
        let purpose = format!("discovery {}", self.discoveries.stages);
        let episodes = (limits.calls / SHORT).clamp(1, EPISODES);
        let plan = DiscoveryPlan {
            seeds: (0..episodes).map(|at| seeds::world(self.config.seed, &purpose, at)).collect(),
            calls: limits.calls,
            episode_calls: limits.episode_calls,
            steps: self.spec.call_steps(self.config.actor.trial_steps),
            tasks: limits.tasks,
            beliefs: self.discoveries.beliefs.clone(),
        };
        self.phase = Phase::Discovering;
        vec![Effect::Discover { plan }]
    }

    /// Takes what was found out for what a world documents.
    pub(super) fn discovered(
        &mut self,
        beliefs: Beliefs,
        tasks: Vec<TaskSpec>,
        recipes: Vec<Recipe>,
    ) -> Vec<Effect> {
        self.discoveries.beliefs = beliefs;
        let skills = self.skills();
        let new: BTreeSet<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        // What was found out before and is not any more stays only where a skill does it.
        let stays = |name: &str, found: &BTreeSet<String>| {
            !found.contains(name) || (!new.contains(name) && skills.contains_key(name))
        };
        let found = &self.discoveries.tasks;
        let own: BTreeSet<String> = self
            .spec
            .tasks
            .iter()
            .map(|task| task.name.clone())
            .filter(|name| !found.contains(name))
            .collect();
        let mut spec = self.spec.clone();
        spec.tasks.retain(|task| stays(&task.name, found));
        spec.recipes.retain(|recipe| stays(&recipe.task, found));
        for mut task in tasks.into_iter().filter(|task| !own.contains(&task.name)) {
            if spec.untrusted {
                task.description = quote::description(&task.description);
            }
            self.discoveries.tasks.insert(task.name.clone());
            spec.tasks.push(task);
        }
        for recipe in recipes.into_iter().filter(|recipe| !own.contains(&recipe.task)) {
            if self.planner.recipe(&recipe.task).is_none_or(|known| !same_way(known, &recipe)) {
                // Another way may succeed where the one before did not.
                self.curriculum.learned(&recipe.task);
            }
            spec.recipes.push(recipe);
        }
        self.planner = Planner::by_rules(&spec, self.config.rules);
        self.spec = spec;
        self.decide()
    }

    /// Whether a task can only be done later: nothing can raise its number now.
    pub(super) fn must_wait(&self, task: &str) -> bool {
        let waiting = self.planner.recipe(task).and_then(|recipe| recipe.waiting.as_ref());
        waiting.is_some_and(|waiting| {
            let number = waiting.path.find(&self.episode.observation.state).and_then(Value::as_f64);
            number.is_some_and(|number| number >= waiting.below)
        })
    }

    /// A call that only passes time, where nothing else is left than what can be done later.
    pub(super) fn wait(&mut self, proposals: &[Proposal]) -> Option<ToolCall> {
        if !proposals.is_empty() || self.episode.waits >= WAITS {
            return None;
        }
        let skills = self.skills();
        let waiting = self.planner.tasks().find_map(|task| {
            let is_open = skills.contains_key(&task.name) && !self.episode.done.contains(&task.name);
            let recipe = self.planner.recipe(&task.name).filter(|_| is_open && self.must_wait(&task.name))?;
            recipe.waiting.as_ref().map(|waiting| waiting.call.clone())
        })?;
        self.episode.waits += 1;
        Some(waiting)
    }

    /// Notes which tasks that were found out are done in the episode. The world does not say so.
    pub(super) fn note_what_is_done(&mut self, called: &str, verified: bool) {
        let done: Vec<String> = self
            .planner
            .tasks()
            .filter(|task| self.is_learned(&task.name) && !self.episode.done.contains(&task.name))
            .filter(|task| {
                let raised = matches!(task.goal, Condition::Increased { .. });
                let (first, now) = (&self.episode.first, &self.episode.observation.state);
                (verified && task.name == called)
                    || (raised && task.goal.holds(first, now, &Map::new()).unwrap_or(false))
            })
            .map(|task| task.name.clone())
            .collect();
        self.episode.achieved.extend(done.iter().cloned());
        self.episode.done.extend(done);
    }

    fn is_learned(&self, task: &str) -> bool {
        self.planner.recipe(task).is_some_and(|recipe| recipe.evidence.is_some())
    }
}

/// Whether two recipes say the same, whatever they rest on.
fn same_way(one: &Recipe, other: &Recipe) -> bool {
    let bare = |recipe: &Recipe| Recipe { evidence: None, waiting: None, ..recipe.clone() };
    bare(one) == bare(other)
}
