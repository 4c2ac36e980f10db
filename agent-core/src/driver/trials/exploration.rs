//! Practice worlds as `sojourn-synthesis` explores them.

use super::super::DriveError;
use super::super::executor::{ExecutorError, LoadedSkill, SkillExecutor, ToolReach};
use super::super::observer::LongWork;
use super::TrialRunner;
use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_sandbox::Program;
use sojourn_synthesis::{CallResult, ExplorationError, PracticeWorld, RunResult};
use sojourn_tools::{Ending, EndingKind, Environment, EnvironmentError, Grants, ToolCall};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The share of the run's remaining time that an exploration leaves: one part in this number.
const SPARED: i64 = 3;

/// A practice world with the skills and reflexes of the run.
pub(super) struct ExploredWorld {
    runner: TrialRunner,
    episodes: EpisodeCount,
    holder: Holder,
    /// Milliseconds of the run that are for what is done with the findings. `None` where the run has no limit, and where a verification
    /// repeats the exploration.
    spared_ms: Option<i64>,
}

/// The episodes of an exploration so far, in all its worlds.
#[derive(Clone)]
pub(super) struct EpisodeCount {
    begun: Arc<AtomicUsize>,
    most: usize,
    /// Episodes in which the world failed.
    failed: Arc<AtomicUsize>,
    /// The latest reason for that.
    failure: Arc<Mutex<Option<String>>>,
}

impl EpisodeCount {
    /// No episode of at most `most`.
    pub(super) fn new(most: usize) -> Self {
        Self { begun: Arc::default(), most, failed: Arc::default(), failure: Arc::default() }
    }

    /// Notes an episode that ended because the world failed.
    fn fail(&self, cause: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause.to_owned());
    }

    /// Episodes that ended because the world failed, and the latest reason.
    pub(super) fn failures(&self) -> (usize, Option<String>) {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.failed.load(Ordering::Relaxed), failure)
    }

    /// The number of the next episode. Repetitions of an episode, which shorten what was done in it, are not planned; the
    /// number stays at the largest one.
    fn next(&self) -> usize {
        (self.begun.fetch_add(1, Ordering::Relaxed) + 1).min(self.most)
    }
}

/// Who holds the world.
enum Holder {
    /// The [`ExploredWorld`] itself, between two episodes.
    Idle(Box<dyn Environment>),
    /// The executor of an episode.
    InEpisode(Box<SkillExecutor>),
    /// An earlier error kept it.
    Gone,
}

impl ExploredWorld {
    pub(super) fn new(world: Box<dyn Environment>, runner: TrialRunner, episodes: EpisodeCount) -> Self {
        let left = runner.watch.time.left_ms().filter(|_| !world.spec().deterministic);
        let spared_ms = left.map(|left| left / SPARED);
        Self { runner, episodes, holder: Holder::Idle(world), spared_ms }
    }

    fn executor(&mut self) -> Result<&mut SkillExecutor, ExecutorError> {
        match &mut self.holder {
            Holder::InEpisode(executor) => Ok(executor),
            Holder::Idle(_) | Holder::Gone => Err(ExecutorError::Busy),
        }
    }
}

#[async_trait]
impl PracticeWorld for ExploredWorld {
    type Error = ExecutorError;

    async fn reset(&mut self, seed: u64) -> Result<Value, ExecutorError> {
        self.runner.watch.check()?;
        self.runner.watch.begin(LongWork::Exploration, self.episodes.next(), self.episodes.most);
        let mut world = match std::mem::replace(&mut self.holder, Holder::Gone) {
            Holder::Idle(world) => world,
            Holder::InEpisode(executor) => executor.into_environment()?,
            Holder::Gone => return Err(ExecutorError::Busy),
        };
        self.runner.watch.within(world.reset(seed)).await?;
        let state = world.observe()?.state;
        self.holder = Holder::InEpisode(Box::new(self.runner.executor(world)?));
        Ok(state)
    }

    async fn call(&mut self, call: &ToolCall, max_steps: u32) -> Result<CallResult, ExecutorError> {
        let done = self.executor()?.call_tool(call, max_steps).await?;
        if let Some(Ending { cause, .. }) =
            done.ended.as_ref().filter(|ending| ending.kind == EndingKind::Lost)
        {
            self.episodes.fail(cause);
        }
        Ok(CallResult {
            state: done.after,
            reward: done.reward,
            succeeded: done.verified,
            ended: done.ended.is_some(),
            lost: done.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Died),
            steps: done.steps,
        })
    }

    fn is_late(&self) -> bool {
        let left = self.runner.watch.time.left_ms();
        self.spared_ms.zip(left).is_some_and(|(spared, left)| left < spared)
    }

    async fn available(&mut self) -> Result<Vec<ToolCall>, ExecutorError> {
        self.executor()?.available().await
    }

    async fn run(
        &mut self,
        seed: u64,
        program: &Program,
        granted: &[String],
        max_steps: u32,
    ) -> Result<RunResult, ExecutorError> {
        self.reset(seed).await?;
        let name = program.entry().to_owned();
        let skill = LoadedSkill {
            name: name.clone(),
            parameters: Vec::new(),
            goal: None,
            program: program.clone(),
            grants: granted.iter().cloned().collect::<Grants>(),
            // What a program under trial is granted was chosen from tools that only read, and its toolkit calls no others.
            tools: ToolReach::Granted,
            untrusted: false,
        };
        let call = ToolCall { name, args: Map::new() };
        let done = self.executor()?.run_loaded_skill(&skill, &call, max_steps, seed).await?;
        Ok(RunResult { before: done.before, after: done.after })
    }
}

impl From<ExplorationError<ExecutorError>> for DriveError {
    fn from(error: ExplorationError<ExecutorError>) -> Self {
        match error {
            ExplorationError::World(error) => error.into(),
            ExplorationError::State(error) => {
                ExecutorError::from(EnvironmentError::Failed { reason: error.to_string() }).into()
            }
        }
    }
}
