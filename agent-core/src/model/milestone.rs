//! Milestones for people who watch, and the reasons why a run ends.

use serde::{Deserialize, Serialize};
use sojourn_skills::ReflexFigures;

/// Progress that is reported to people at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "milestone", rename_all = "snake_case")]
pub enum Milestone {
    /// The next task was chosen.
    TaskChosen {
        /// The task.
        task: String,
        /// Whether a skill has to be written for it.
        learning: bool,
    },
    /// A skill was admitted.
    SkillAdmitted {
        /// The skill.
        skill: String,
        /// Worlds in which it verified, of those it was tried in.
        verified: (usize, usize),
        /// Mean steps when it verified.
        steps: f64,
        /// Rounds of writing it took.
        rounds: u32,
    },
    /// A reflex that the controller wrote was admitted.
    ReflexAdmitted {
        /// The reflex.
        reflex: String,
        /// What it was written against.
        cause: String,
        /// Practice episodes with it and without it.
        figures: ReflexFigures,
    },
    /// No reflex against this cause of death prolonged the episodes of its trial.
    ReflexGivenUp {
        /// The cause.
        cause: String,
    },
    /// Writing a skill was given up for now.
    SkillGivenUp {
        /// The task.
        task: String,
    },
    /// An admitted skill failed too often and must pass trials again.
    SkillDemoted {
        /// The skill.
        skill: String,
    },
    /// An admitted skill duplicates another one and became another name of it.
    SkillMerged {
        /// The skill.
        skill: String,
        /// The other.
        into: String,
    },
    /// A skill that calls a changed skill still passes its cases.
    SkillRetested {
        /// The skill.
        skill: String,
        /// Cases that it passed.
        passed: usize,
    },
    /// A task was tried in the episode.
    TaskDone {
        /// The task.
        task: String,
        /// Whether its goal was reached.
        verified: bool,
        /// Steps it took.
        steps: u32,
    },
    /// The agent repeated itself without a change. The controller was told, and the task is left until the next episode.
    Nudged {
        /// The repeated call.
        what: String,
        /// Number of repetitions in a row.
        times: u32,
    },
    /// The run has made no progress for a time. The controller was told; after the second time its task was left too.
    NoProgress {
        /// The time, in milliseconds.
        quiet_ms: u64,
        /// The task that was left for another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<String>,
    },
    /// An episode ended.
    EpisodeEnded {
        /// How.
        cause: String,
        /// Its achievements.
        achievements: usize,
        /// Its steps.
        steps: u64,
    },
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum FinishReason {
    /// The step budget is used up.
    Steps,
    /// The time budget is used up.
    Time,
    /// The token budget is used up.
    Tokens,
    /// All requested episodes are over.
    Episodes,
    /// Every task has a skill, and the last episodes brought nothing new.
    NothingNew {
        /// Number of such episodes in a row.
        episodes: u32,
    },
    /// The budget of tool calls is used up.
    ToolCalls,
    /// The cost budget is used up.
    Cost,
    /// The agent repeated itself without a change, also after a nudge. The run can be resumed.
    Repetition {
        /// The repeated call.
        what: String,
    },
    /// The run made no progress, also after a nudge and with another task. It can be resumed.
    Stuck {
        /// The time since the last progress, in milliseconds.
        quiet_ms: u64,
        /// The tasks that were chosen since then, with their numbers.
        tried: String,
    },
    /// The controller failed several times in a row.
    Controller {
        /// The last error.
        error: String,
    },
}
