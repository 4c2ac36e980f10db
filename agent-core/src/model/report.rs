//! How a skill went in the episode, and why one failed in a trial.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_sandbox::CallError;
use sojourn_tools::{Ending, FailureKind, Need, Observation};

/// One call that a skill made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallTrace {
    /// As JavaScript: `go_to("tree")`.
    pub call: String,
    /// Whether it did what it is for.
    pub ok: bool,
    /// What happened.
    pub message: String,
    /// What was missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Need>,
    /// The cause of the failure, where programs decide by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
}

/// How a skill's run in the episode went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActReport {
    /// What is seen afterwards.
    pub observation: Observation,
    /// What stopped it, if it did not return by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
    /// Environment steps taken, reflexes' included.
    pub steps: u32,
    /// Steps of those that reflexes took.
    pub reflex_steps: u32,
    /// Achievements unlocked, with the episode's step.
    pub unlocked: Vec<Unlocked>,
    /// Skills that ran, the called one last: which, and whether their post-condition held.
    pub skills: Vec<SkillUse>,
    /// The last calls it made.
    pub trace: Vec<CallTrace>,
    /// Number of calls that it made.
    pub calls: u32,
    /// How many of them were to tools that are not the environment's.
    #[serde(default, skip_serializing_if = "is_none")]
    pub consulted: u32,
    /// The last moments before a death, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moments: Vec<Moment>,
    /// Set if the episode ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
}

/// A state, and the action that was taken in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// What was seen.
    pub state: Value,
    /// What was done.
    pub action: String,
}

/// An achievement and when it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlocked {
    /// The task.
    pub task: String,
    /// The episode's step.
    pub step: u64,
}

/// One run of a skill, called by the core or by another skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillUse {
    /// The skill's name.
    pub name: String,
    /// Whether its post-condition held.
    pub verified: bool,
    /// Environment steps it took.
    pub steps: u32,
}

/// What is known of a failed call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The call as JavaScript.
    pub call: String,
    /// The state before.
    pub before: Value,
    /// The state after.
    pub after: Value,
    /// What stopped it, if it did not return by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
    /// Whether the agent died.
    pub died: bool,
    /// The last calls it made.
    pub trace: Vec<CallTrace>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(count: &u32) -> bool {
    *count == 0
}
