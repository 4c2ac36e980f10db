//! Goals of the user, and tasks that were discovered, beside those that a world documents.

use crate::{
    Action, Environment, EnvironmentError, EnvironmentSpec, EpisodePrefix, Frame, Observation, Progress,
    Snapshot, StepOutcome, TaskSpec, ToolCall,
};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// An environment with more tasks than it documents.
///
/// A task of these is unlocked when its goal first holds in an episode, compared with the episode's first state, and did not hold
/// there. Everything else is the environment's own.
pub struct WithGoals {
    inner: Box<dyn Environment>,
    spec: EnvironmentSpec,
    goals: Vec<TaskSpec>,
    /// The first state of the episode; `None` before one began.
    first: Option<Value>,
    /// The goals that hold in the first state or were unlocked.
    reached: BTreeSet<String>,
}

impl WithGoals {
    /// `inner` with `first` before the tasks that it documents, and `last` after them. A task whose name is taken is left out.
    pub fn wrap(
        inner: Box<dyn Environment>,
        first: Vec<TaskSpec>,
        last: Vec<TaskSpec>,
    ) -> Box<dyn Environment> {
        let mut spec = inner.spec().clone();
        let mut taken: BTreeSet<String> = spec.tasks.iter().map(|task| task.name.clone()).collect();
        let mut fresh = |tasks: Vec<TaskSpec>| -> Vec<TaskSpec> {
            tasks.into_iter().filter(|task| taken.insert(task.name.clone())).collect()
        };
        let (first, last) = (fresh(first), fresh(last));
        let goals: Vec<TaskSpec> = first.iter().chain(&last).cloned().collect();
        if goals.is_empty() {
            return inner;
        }
        spec.tasks = first.into_iter().chain(spec.tasks).chain(last).collect();
        Box::new(Self { inner, spec, goals, first: None, reached: BTreeSet::new() })
    }

    /// `inner` with the tasks that a recorded specification has and `inner` does not document, and with its learned recipes. Tasks
    /// with a learned recipe are never unlocked: the agent sees for itself when they are done.
    pub fn as_recorded(inner: Box<dyn Environment>, recorded: &EnvironmentSpec) -> Box<dyn Environment> {
        let own: BTreeSet<String> = inner.spec().tasks.iter().map(|task| task.name.clone()).collect();
        let others = || recorded.tasks.iter().filter(|task| !own.contains(&task.name));
        if others().next().is_none() {
            return inner;
        }
        let learned = || {
            let recipes = recorded.recipes.iter().filter(|recipe| recipe.evidence.is_some());
            recipes.filter(|recipe| !own.contains(&recipe.task))
        };
        let is_learned = |task: &TaskSpec| learned().any(|recipe| recipe.task == task.name);
        let goals: Vec<TaskSpec> = others().filter(|task| !is_learned(task)).cloned().collect();
        let mut spec = EnvironmentSpec { tasks: recorded.tasks.clone(), ..inner.spec().clone() };
        spec.recipes.extend(learned().cloned());
        Box::new(Self { inner, spec, goals, first: None, reached: BTreeSet::new() })
    }

    /// Takes the present state as the episode's first one.
    fn begin_episode(&mut self) {
        let state = self.inner.observe().ok().map(|seen| seen.state);
        self.reached.clear();
        if let Some(state) = &state {
            let held = self.goals.iter().filter(|goal| holds(goal, state, state));
            self.reached = held.map(|goal| goal.name.clone()).collect();
        }
        self.first = state;
    }
}

fn holds(goal: &TaskSpec, before: &Value, after: &Value) -> bool {
    goal.goal.holds(before, after, &Map::new()).unwrap_or(false)
}

#[async_trait]
impl Environment for WithGoals {
    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        self.inner.reset(seed).await?;
        self.begin_episode();
        Ok(())
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        self.inner.observe()
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.inner.begin(call)
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        self.inner.advance()
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        let mut outcome = self.inner.step(action).await?;
        if let Some(first) = &self.first {
            for goal in self.goals.iter().filter(|goal| goal.achievement) {
                if !self.reached.contains(&goal.name) && holds(goal, first, &outcome.state) {
                    self.reached.insert(goal.name.clone());
                    outcome.unlocked.push(goal.name.clone());
                }
            }
        }
        Ok(outcome)
    }

    fn own_name(&self, name: &str) -> Option<&str> {
        self.inner.own_name(name)
    }

    fn permits(&self, action: &Action) -> bool {
        self.inner.permits(action)
    }

    async fn frame(&mut self) -> Option<Frame> {
        self.inner.frame().await
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.inner.snapshot()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        self.inner.restore(snapshot)?;
        self.begin_episode();
        Ok(())
    }

    async fn rejoin(&mut self, past: &EpisodePrefix) -> Result<bool, EnvironmentError> {
        let rejoined = self.inner.rejoin(past).await?;
        // What was unlocked before is in the log; the first state is not known any more.
        self.begin_episode();
        Ok(rejoined)
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(Self {
            inner: self.inner.practice()?,
            spec: self.spec.clone(),
            goals: self.goals.clone(),
            first: None,
            reached: BTreeSet::new(),
        }))
    }
}
