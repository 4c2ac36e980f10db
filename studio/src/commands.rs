//! What the studio does by the code of the commands.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_memory::{EventSeq, Forgotten, Hit, Memory, MemoryId, RunId};

/// What to look for in the memories.
#[derive(Debug, Clone, Default)]
pub struct MemoryQuery {
    /// The words; empty for the newest memories.
    pub text: String,
    /// The largest number of memories.
    pub limit: usize,
    /// The kind, by its name; all kinds where it is absent.
    pub kind: Option<String>,
    /// Only memories of this run.
    pub run: Option<RunId>,
}

/// Memories that were found, the best first.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// `words`, or `words and meaning`.
    pub searched_by: &'static str,
    /// The memories with the reason for each.
    pub memories: Vec<Hit>,
}

/// An agent that a run may be started with.
#[derive(Debug, Clone, Serialize)]
pub struct Agent {
    /// The agent file as an absolute path, or the name of an environment.
    pub name: String,
    /// The environment, where it has a name.
    pub environment: Option<String>,
    /// The controller's model, where the file names one.
    pub model: Option<String>,
    /// Its goals in words.
    pub goals: Vec<String>,
}

/// What a run may use from now on.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WantedMore {
    /// Environment steps.
    pub steps: Option<u64>,
    /// Minutes.
    pub minutes: Option<u64>,
}

/// A run that is to be started.
#[derive(Debug, Clone, Default)]
pub struct NewStart {
    /// One of the [`agents`](Commands::agents), by its name.
    pub agent: String,
    /// Goals in words, instead of those of the agent file.
    pub goals: Vec<String>,
    /// Changed settings: `run.KEY=VALUE`.
    pub settings: Vec<String>,
    /// The seed of every random choice.
    pub seed: Option<u64>,
    /// Its budgets.
    pub more: WantedMore,
}

/// What differs in a fork.
#[derive(Debug, Clone, Default)]
pub struct NewFork {
    /// Changed settings: `run.KEY=VALUE`.
    pub settings: Vec<String>,
    /// The text that begins every request to the controller; `None` where it stays as it is.
    pub prompt: Option<String>,
    /// A title for lists.
    pub title: Option<String>,
    /// The agent that continues it; `None` for the built-in one of the run's environment.
    pub agent: Option<String>,
    /// What it may use besides.
    pub more: WantedMore,
}

/// A setting of a run that may be changed on the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its key, as `--set` takes it: `run.actor.candidates`.
    pub key: String,
    /// What it is now, as JSON; null where it is absent.
    pub value: Value,
    /// What values it takes, in words.
    pub kind: String,
    /// The values that it takes, where these are a few words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What it does.
    pub about: String,
}

/// A run whose process was started, and has written no record yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Starting {
    /// What the process says that it does: `loading its model`; `None` where it says nothing.
    pub doing: Option<String>,
    /// Why it ended, where its last words say so.
    pub error: Option<String>,
}

/// A goal that a run was asked for while it was under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GoalRequest {
    /// The goal in words.
    pub text: String,
    /// Who asked.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub asked_ms: i64,
    /// What became of it, in words; `None` while it waits.
    pub outcome: Option<String>,
}

/// A skill that is to be run in a fresh world.
#[derive(Debug, Clone, Default)]
pub struct SkillTry {
    /// Its arguments by name.
    pub args: serde_json::Map<String, Value>,
    /// The world's seed.
    pub seed: u64,
    /// The largest number of environment steps.
    pub steps: u32,
    /// One of the [`agents`](Commands::agents) that describes the world; `None` for the world that the skill was learned in.
    pub agent: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    /// As `sojourn skills run --json` has it.
    #[serde(flatten)]
    pub outcome: Value,
    /// The world before the first step, and after each, so far as they are kept.
    pub moments: Vec<TriedMoment>,
    /// How many steps have no moment, because there were too many.
    pub left_out: usize,
}

/// The world at one step of a skill.
#[derive(Debug, Clone, Serialize)]
pub struct TriedMoment {
    /// The step, from 1; 0 before the first.
    pub step: usize,
    /// The action; empty before the first.
    pub action: String,
    /// The world as text.
    pub view: String,
}

/// A call that waits, or waited, for a person.
#[derive(Debug, Clone, Serialize)]
pub struct Approval {
    /// As `sojourn approvals show --json` has it; in lists without the arguments.
    #[serde(flatten)]
    pub asked: Value,
    /// All arguments, in lines that show every character as itself or by its number; empty in lists.
    pub lines: Vec<String>,
    /// Why the arguments cannot be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// The last records before the question, one line each; empty in lists.
    pub led_to_it: Vec<String>,
    /// What becomes of the run after an answer, where no process runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A page of the calls that wait, or waited, for a person.
#[derive(Debug, Clone, Serialize)]
pub struct Approvals {
    /// Number of such calls on all pages.
    pub total: u64,
    /// Number of newer calls than those of this page.
    pub offset: u64,
    /// The calls, the newest first.
    pub approvals: Vec<Approval>,
}

/// Which calls are listed.
#[derive(Debug, Clone, Default)]
pub struct ApprovalQuery {
    /// Only those of this run.
    pub run: Option<RunId>,
    /// Also those that have an answer.
    pub answered: bool,
    /// Number of newer calls that are left out.
    pub offset: u64,
    /// The largest number of calls.
    pub limit: u32,
}

/// Why a command did nothing, for people.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What failed, on what, and why.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What the studio does by the code of the commands. Each action is one that the command line has.
#[async_trait]
pub trait Commands: Send + Sync {
    /// As `sojourn memory search`.
    async fn find_memories(&self, query: &MemoryQuery) -> Result<Found, Refused>;

    /// As `sojourn memory forget`; `None` where there is no such memory.
    async fn forget(&self, id: &MemoryId) -> Result<Option<Forgotten>, Refused>;

    /// As `sojourn memory pin` and `unpin`; false where there is no such memory.
    async fn pin(&self, id: &MemoryId, pinned: bool) -> Result<bool, Refused>;

    /// As `sojourn memory edit`; returns the memory that replaces it.
    async fn edit(&self, id: &MemoryId, text: &str) -> Result<Memory, Refused>;

    /// As `sojourn fork RUN --at SEQ --no-run`; returns the new run.
    async fn fork(&self, run: &RunId, at: EventSeq, wanted: NewFork) -> Result<RunId, Refused>;

    /// The agents that runs may be started with.
    async fn agents(&self) -> Result<Vec<Agent>, Refused>;

    /// As `sojourn run AGENT`, in a process of its own; returns the run.
    async fn start(&self, wanted: NewStart) -> Result<RunId, Refused>;

    /// As `sojourn run AGENT --resume RUN`, in a process of its own.
    async fn resume(&self, run: &RunId, agent: &str, more: WantedMore) -> Result<(), Refused>;

    /// As Ctrl-C at the run's terminal: the step under way is finished, and the run can be resumed.
    async fn stop(&self, run: &RunId) -> Result<(), Refused>;

    /// The settings that a fork of the run may change, with what they are after its record `at`, or after its last one.
    async fn settings(&self, run: &RunId, at: Option<EventSeq>) -> Result<Vec<Setting>, Refused>;

    /// The settings that an agent begins a run with.
    async fn settings_of_agent(&self, agent: &str) -> Result<Vec<Setting>, Refused>;

    /// What the process of a run does before it writes. The run need not have a record yet.
    async fn starting(&self, run: &RunId) -> Result<Starting, Refused>;

    /// As `sojourn goal add`; the run takes it up before its next episode.
    async fn add_goal(&self, run: &RunId, text: &str, condition: Option<&Value>) -> Result<(), Refused>;

    /// As `sojourn goal list`.
    async fn goals(&self, run: &RunId) -> Result<Vec<GoalRequest>, Refused>;

    /// As `sojourn skills run NAME`.
    async fn try_skill(&self, name: &str, wanted: SkillTry) -> Result<Tried, Refused>;

    /// As `sojourn approvals list`.
    async fn approvals(&self, query: &ApprovalQuery) -> Result<Approvals, Refused>;

    /// As `sojourn approvals show`.
    async fn approval(&self, id: &str) -> Result<Approval, Refused>;

    /// As `sojourn approvals allow` and `deny`.
    async fn answer(&self, id: &str, granted: bool) -> Result<Approval, Refused>;

    /// As `sojourn skills retire NAME --reason …`.
    async fn retire(&self, name: &str, version: u32, reason: &str) -> Result<(), Refused>;

    /// As `sojourn skills rollback NAME --to VERSION`.
    async fn roll_back(&self, name: &str, to: u32) -> Result<(), Refused>;
}
