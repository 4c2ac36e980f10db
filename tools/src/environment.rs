use crate::{Example, Observation, Recipe, TaskSpec, ToolCall, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A world that an agent lives in, one episode at a time.
///
/// A call to one of its tools is carried out as actions: [`begin`](Self::begin) takes the call, then the
/// runtime alternates [`advance`](Self::advance) and [`step`](Self::step) until the call is done. The runtime
/// may `step` an action of its own (a reflex's) between the two, so `advance` decides anew from the present
/// state every time.
#[async_trait]
pub trait Environment: Send {
    /// What this environment is and offers. The same for the whole life of the value.
    fn spec(&self) -> &EnvironmentSpec;

    /// Starts an episode. The same seed starts the same episode where the spec says `deterministic`.
    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError>;

    /// What is seen now.
    fn observe(&self) -> Result<Observation, EnvironmentError>;

    /// Takes a call to one of [`EnvironmentSpec::tools`], replacing any unfinished one.
    ///
    /// A call with bad arguments does not fail here: the next [`advance`](Self::advance) answers it with a
    /// [`ToolOutcome`] that says what was wrong.
    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError>;

    /// The next action of the call under way, or its outcome.
    fn advance(&mut self) -> Result<Progress, EnvironmentError>;

    /// Carries out one action: one step of the environment.
    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError>;

    /// The whole state as bytes, if this environment can do that.
    fn snapshot(&self) -> Option<Snapshot> {
        None
    }

    /// Goes back to a state taken by [`snapshot`](Self::snapshot) of the same environment and version.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        let _ = snapshot;
        Err(EnvironmentError::Unsupported { what: "snapshots" })
    }

    /// Asked after a crash where the spec does not say `deterministic`: whether this world is, or has just been made, the
    /// one that the process before acted on. What says no is reset, and the episode is lost.
    async fn rejoin(&mut self, past: &Past) -> Result<bool, EnvironmentError> {
        let _ = past;
        Ok(false)
    }

    /// A second, independent world of the same kind in which to practise, if there can be one.
    fn practice(&self) -> Option<Box<dyn Environment>> {
        None
    }
}

/// What an environment is, in the words of its documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentSpec {
    /// "crafter".
    pub name: String,
    /// Of its rules: a log is replayed only against the same version.
    pub version: String,
    /// The same seed and actions give the same states, wherever a log is replayed: it is stepped again there. Any other
    /// is not; its log answers for it.
    pub deterministic: bool,
    /// One or two sentences: what this world is and whom the skills control.
    pub about: String,
    /// The primitives offered to the controller and the skills. A tool named `observe` without parameters is
    /// offered to skills as a live view of [`Observation::state`].
    pub tools: Vec<ToolSpec>,
    /// What an action name may be, for reflexes.
    pub actions: Vec<String>,
    /// What the actions do and where the state shows it, in a few sentences.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub controls: String,
    /// Tasks that can be asked for.
    pub tasks: Vec<TaskSpec>,
    /// How they are done.
    pub recipes: Vec<Recipe>,
    /// Worked examples of the language of skills; none of them solves a task.
    pub examples: Vec<Example>,
    /// JSON pointers into the state whose fall counts as harm when a skill is tried: `/health`.
    pub vitals: Vec<String>,
    /// Where each episode says what is to be done: then what is seen is part of what a skill is written from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// How an explorer may act at random, where that does no harm; without it nothing is explored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploration: Option<crate::ExplorationSpec>,
}

/// What is to be done, where each episode says it itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// JSON pointer into the state to it, in words: `/goal`.
    pub path: String,
    /// A sentence for those who write skills: what differs from one episode of a task to the next.
    pub differs: String,
}

/// One step of the environment: its name as the environment lists it in [`EnvironmentSpec::actions`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Action(pub String);

/// What became of a call under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It wants this action next.
    Act(Action),
    /// It is done.
    Done(ToolOutcome),
}

/// What one action brought about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// The state afterwards, as in [`Observation::state`].
    pub state: Value,
    /// The environment's own reward.
    pub reward: f64,
    /// Tasks with `achievement` set that were done for the first time in this episode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlocked: Vec<String>,
    /// Set on the episode's last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
}

/// How an episode ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// In one word.
    pub kind: EndingKind,
    /// In a few: "killed by a zombie while asleep".
    pub cause: String,
}

/// The ways an episode ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndingKind {
    /// The agent died or lost.
    Died,
    /// The environment's goal was reached.
    Succeeded,
    /// Time was up.
    TimeUp,
    /// The world broke off; what would have come of the episode is unknown.
    Lost,
}

/// What a log knows of the episode that was under way when a process ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// What it was begun with.
    pub seed: u64,
    /// The steps since then, in order.
    pub actions: Vec<Action>,
    /// The last state that was seen.
    pub state: Value,
}

/// An environment that is only known from a log: it can be told of, not lived in.
#[derive(Debug, Clone)]
pub struct Remembered(EnvironmentSpec);

impl Remembered {
    /// What a log says of its environment.
    pub fn new(spec: EnvironmentSpec) -> Self {
        Self(spec)
    }

    fn absent<T>(&self) -> Result<T, EnvironmentError> {
        let reason = format!("`{}` is known from the log only, it is not here", self.0.name);
        Err(EnvironmentError::Failed { reason })
    }
}

#[async_trait]
impl Environment for Remembered {
    fn spec(&self) -> &EnvironmentSpec {
        &self.0
    }

    async fn reset(&mut self, _seed: u64) -> Result<(), EnvironmentError> {
        self.absent()
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        self.absent()
    }

    fn begin(&mut self, _call: &ToolCall) -> Result<(), EnvironmentError> {
        self.absent()
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        self.absent()
    }

    async fn step(&mut self, _action: &Action) -> Result<StepOutcome, EnvironmentError> {
        self.absent()
    }
}

/// An environment's whole state, opaque to everybody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot(pub Vec<u8>);

/// Why an environment could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// It was acted on before a reset or after the episode's end.
    #[error("the episode is not running: reset the environment first")]
    NotRunning,
    /// There is no action of that name.
    #[error("no action named `{name}`")]
    UnknownAction {
        /// The name that was given.
        name: String,
    },
    /// [`Environment::advance`] without a call.
    #[error("no call is under way")]
    NoCall,
    /// It cannot do that at all.
    #[error("this environment has no {what}")]
    Unsupported {
        /// What it lacks.
        what: &'static str,
    },
    /// A snapshot of something else, or a damaged one.
    #[error("the snapshot cannot be restored: {reason}")]
    BadSnapshot {
        /// What was wrong with it.
        reason: String,
    },
    /// The episode broke off and cannot go on; a reset begins another.
    #[error("{cause}")]
    Lost {
        /// What happened.
        cause: String,
    },
    /// The world behind it failed: a process died, a page did not load.
    #[error("the environment failed: {reason}")]
    Failed {
        /// What happened.
        reason: String,
    },
}
