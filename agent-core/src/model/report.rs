//! Reports of a skill's run in the episode, and of a failure in a trial.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_sandbox::CallError;
use sojourn_tools::{Ending, EndingKind, FailureKind, Need, Observation};

/// One call that a skill made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallTrace {
    /// As JavaScript: `open("door", 2)`.
    pub call: String,
    /// Whether the call succeeded.
    pub ok: bool,
    /// The outcome, for people.
    pub message: String,
    /// Prerequisites that were missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Need>,
    /// The cause of the failure, where programs decide by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
}

/// The outcome of a skill's run in the episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActReport {
    /// The observation after it.
    pub observation: Observation,
    /// The error that ended the skill; `None` where it returned by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
    /// Environment steps taken, including those of reflexes.
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
    /// Number of calls to tools that do not belong to the environment.
    #[serde(default, skip_serializing_if = "is_none")]
    pub consulted: u32,
    /// The last moments before a death, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moments: Vec<Moment>,
    /// Set if the episode ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
}

impl ActReport {
    /// Whether the skill ended by itself. Where reaching the goal ends the episode, that counts as its own end.
    pub fn finished(&self) -> bool {
        let reached = || self.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Succeeded);
        match &self.error {
            None => true,
            Some(CallError::Stopped { .. }) => reached(),
            Some(_) => false,
        }
    }
}

/// A state and the action taken in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The state before the action.
    pub state: Value,
    /// The action's name.
    pub action: String,
}

/// An achievement and its step.
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

/// A failed call in a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The call as JavaScript.
    pub call: String,
    /// The state before.
    pub before: Value,
    /// The state after.
    pub after: Value,
    /// The error that ended the skill; `None` where it returned by itself.
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
