use crate::{Example, Observation, Recipe, TaskSpec, ToolCall, ToolOutcome, ToolSpec, Wording};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_primitives::JsonPointer;

/// A world that an agent acts in, one episode at a time.
///
/// A call to one of its tools is carried out as a series of actions. [`begin`](Self::begin) takes the call;
/// then the runtime alternates [`advance`](Self::advance) and [`step`](Self::step) until the call is done.
/// Between the two the runtime may `step` an action of its own, for a reflex, so `advance` always decides
/// from the present state.
#[async_trait]
pub trait Environment: Send {
    /// Name, tools, tasks and documentation. Constant for the lifetime of the value.
    fn spec(&self) -> &EnvironmentSpec;

    /// Starts an episode. If the spec says `deterministic`, equal seeds start equal episodes.
    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError>;

    /// The present observation.
    fn observe(&self) -> Result<Observation, EnvironmentError>;

    /// Takes a call to one of [`EnvironmentSpec::tools`], replacing any unfinished call.
    ///
    /// Bad arguments are not an error here: the next [`advance`](Self::advance) returns a [`ToolOutcome`]
    /// that explains them.
    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError>;

    /// The next action of the current call, or its outcome.
    fn advance(&mut self) -> Result<Progress, EnvironmentError>;

    /// Carries out one action, which is one step of the environment.
    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError>;

    /// The world's own name of the action that the tool `name` of the spec carries out, where it differs: `do` for the tool `do_`.
    fn own_name(&self, name: &str) -> Option<&str> {
        let _ = name;
        None
    }

    /// Whether a reflex may take the action now. A policy may deny it.
    fn permits(&self, action: &Action) -> bool {
        let _ = action;
        true
    }

    /// The present picture of the world, for people and for perception; `None` where there is none. Taking it changes nothing
    /// in the world. The runtime asks after a reset and after steps, as often as `run.frames` says.
    async fn frame(&mut self) -> Option<Frame> {
        None
    }

    /// The complete state as bytes, or `None` if the environment has no snapshots.
    fn snapshot(&self) -> Option<Snapshot> {
        None
    }

    /// Restores a state taken by [`snapshot`](Self::snapshot) from the same environment and version.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        let _ = snapshot;
        Err(EnvironmentError::Unsupported { what: "snapshots" })
    }

    /// Reconnects to an interrupted episode after a crash. The runtime calls this only if the spec does not
    /// say `deterministic`. Returns true if the world is in the state that `past` ends in. After false the
    /// runtime resets the world, and the episode is lost.
    async fn rejoin(&mut self, past: &EpisodePrefix) -> Result<bool, EnvironmentError> {
        let _ = past;
        Ok(false)
    }

    /// A second, independent world of the same kind for trials, or `None` if there cannot be one.
    fn practice(&self) -> Option<Box<dyn Environment>> {
        None
    }
}

/// What an environment is and offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentSpec {
    /// Name of the environment: "crafter".
    pub name: String,
    /// Version of its rules. A log is replayed only against the same version.
    pub version: String,
    /// Whether equal seeds and actions give equal states. A replay steps a deterministic environment again;
    /// for any other it takes the observations from the log.
    pub deterministic: bool,
    /// One or two sentences: what the world is and whom the skills control.
    pub about: String,
    /// Primitives that the controller and the skills can call. A parameterless tool named `observe` appears
    /// to skills as a live view of [`Observation::state`].
    pub tools: Vec<ToolSpec>,
    /// Action names that a reflex may return.
    pub actions: Vec<String>,
    /// A few sentences: what the actions do and where the state shows it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub controls: String,
    /// Documented tasks that the curriculum may ask for.
    pub tasks: Vec<TaskSpec>,
    /// How the tasks are done.
    pub recipes: Vec<Recipe>,
    /// Worked examples of skills. None of them solves a task.
    pub examples: Vec<Example>,
    /// JSON pointers into the state, such as `/health`. A decrease during a trial counts as harm.
    pub vitals: Vec<JsonPointer>,
    /// Set if each episode states its own goal. A skill is then written from what episodes show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// How the world may be explored at random, where that does no harm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploration: Option<crate::ExplorationSpec>,
    /// Whether any of its calls may be made at random in its practice worlds, which nothing outside notices. The loop
    /// then plays there before the controller is asked, and acts step by step where no skill fits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub play: bool,
    /// Whether skills may be tried in practice worlds, because nothing outside notices or the user allows it. Otherwise no skill
    /// is learned, and the controller acts step by step.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub practice: bool,
    /// Steps after which every episode ends by itself, where the world says so. A call may take that many, at most
    /// [`MOST_EPISODE_STEPS`], where the settings allow less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode_steps: Option<u32>,
    /// This world's words in the prompts for the controller.
    #[serde(default, skip_serializing_if = "Wording::is_empty")]
    pub wording: Wording,
    /// Whether what the world shows comes from outside: prompts quote it, and everything that is made of it is
    /// tainted. False only for worlds that this program computes itself, and for those that the agent file trusts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl EnvironmentSpec {
    /// The steps that a call may take where the settings allow `steps`: enough for an episode, which may have to be lived to its
    /// end.
    pub fn call_steps(&self, steps: u32) -> u32 {
        steps.max(self.episode_steps.unwrap_or(0).min(MOST_EPISODE_STEPS))
    }

    /// Whether the world says what can be achieved in it, beyond rewards and the end of an episode.
    pub fn documents_tasks(&self) -> bool {
        self.tasks.iter().any(|task| task.name != SUCCEED)
    }
}

/// Name of the task in a world that documents none: to get a reward, or to end an episode with success.
pub(crate) const SUCCEED: &str = "succeed";

/// Limit on the steps of a call that follow from [`EnvironmentSpec::episode_steps`].
pub const MOST_EPISODE_STEPS: u32 = 1000;

/// Where an episode states its own goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// JSON pointer into the state to the goal in words: `/goal`.
    pub path: JsonPointer,
    /// One sentence for the author of a skill: what differs between two episodes of a task.
    pub differs: String,
    /// Whether all episodes of a task have the same goal. Then an episode that starts like one already shown is not shown to
    /// the author again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed: bool,
}

/// One step of the environment, by its name in [`EnvironmentSpec::actions`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Action(pub String);

/// State of the current call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The call needs this action next.
    Act(Action),
    /// The call is complete.
    Done(ToolOutcome),
}

/// Result of one action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// The new state, as in [`Observation::state`].
    pub state: Value,
    /// Reward that the environment gave.
    pub reward: f64,
    /// Tasks marked `achievement` that succeeded for the first time in this episode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlocked: Vec<String>,
    /// Set on the last step of the episode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
}

/// A picture of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The file: PNG, JPEG, WebP, GIF or BMP.
    pub bytes: Vec<u8>,
    /// Its claimed media type: "image/png". What the bytes show counts more.
    pub mime: String,
}

/// How an episode ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Category of the ending.
    pub kind: EndingKind,
    /// The cause in a few words: "killed by a zombie while asleep".
    pub cause: String,
}

/// Categories of episode endings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndingKind {
    /// The agent died or lost.
    Died,
    /// The agent reached the environment's goal.
    Succeeded,
    /// The time limit was reached.
    TimeUp,
    /// The world failed; the result of the episode is unknown.
    Lost,
}

/// The recorded beginning of an episode that a crash interrupted.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodePrefix {
    /// Seed of the episode.
    pub seed: u64,
    /// Actions taken so far, in order.
    pub actions: Vec<Action>,
    /// The last state recorded.
    pub state: Value,
}

/// An environment known only by its recorded spec. Every attempt to act in it fails.
#[derive(Debug, Clone)]
pub struct SpecOnlyEnvironment(EnvironmentSpec);

impl SpecOnlyEnvironment {
    /// Wraps the spec that a log recorded.
    pub fn new(spec: EnvironmentSpec) -> Self {
        Self(spec)
    }

    fn absent<T>(&self) -> Result<T, EnvironmentError> {
        let reason = format!("`{}` is known only from the log and cannot be acted in", self.0.name);
        Err(EnvironmentError::Failed { reason })
    }
}

#[async_trait]
impl Environment for SpecOnlyEnvironment {
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

/// A complete environment state; its layout is private to the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot(pub Vec<u8>);

/// Why an environment could not do what was requested.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// An action before the first reset or after the end of the episode.
    #[error("the episode is not running: reset the environment first")]
    NotRunning,
    /// No action has this name.
    #[error("no action named `{name}`")]
    UnknownAction {
        /// The requested name.
        name: String,
    },
    /// [`Environment::advance`] without a current call.
    #[error("there is no current call")]
    NoCall,
    /// The environment lacks an optional capability.
    #[error("this environment has no {what}")]
    Unsupported {
        /// Name of the capability.
        what: &'static str,
    },
    /// The snapshot is damaged, or belongs to another environment or version.
    #[error("the snapshot cannot be restored: {reason}")]
    BadSnapshot {
        /// Why the snapshot is refused, in lower case, for the end of the message.
        reason: String,
    },
    /// The episode was interrupted and cannot continue. A reset starts another.
    #[error("{cause}")]
    Lost {
        /// What happened.
        cause: String,
    },
    /// The world behind the environment failed: a process died, a page did not load.
    #[error("the environment failed: {reason}")]
    Failed {
        /// What happened.
        reason: String,
    },
}
