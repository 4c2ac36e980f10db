//! What a person who watches is told, and why a run ends.

use serde::{Deserialize, Serialize};
use sojourn_skills::ReflexFigures;

/// What a person who watches wants to know at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "milestone", rename_all = "snake_case")]
pub enum Milestone {
    /// The curriculum and the controller settled on a task.
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
    /// No reflex that was written for a cause of death prolongs life.
    ReflexGivenUp {
        /// The cause.
        cause: String,
    },
    /// Writing a skill was given up for now.
    SkillGivenUp {
        /// The task.
        task: String,
    },
    /// An admitted skill did so badly that it must be earned again.
    SkillDemoted {
        /// The skill.
        skill: String,
    },
    /// An admitted skill does what another one does: it is another name of it now.
    SkillMerged {
        /// The skill.
        skill: String,
        /// The other.
        into: String,
    },
    /// What a skill calls has changed, and it still passes its cases.
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
    /// The agent did the same again and again: it is told so, and the task is left until the next episode.
    Nudged {
        /// What it did.
        what: String,
        /// How often in a row.
        times: u32,
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
    /// All the steps that were allowed were taken.
    Steps,
    /// The time that was allowed is over.
    Time,
    /// All the tokens that were allowed were generated.
    Tokens,
    /// All the episodes that were asked for are over.
    Episodes,
    /// All the tool calls that were allowed were made.
    ToolCalls,
    /// All the money that was allowed is spent.
    Cost,
    /// The agent did the same again and again, and telling it so did not help. The run can be resumed.
    Repetition {
        /// What it did.
        what: String,
    },
    /// The controller failed again and again.
    Controller {
        /// The last error.
        error: String,
    },
}
