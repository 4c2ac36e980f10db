//! What is kept of what happens on a stage, and who keeps it.

use super::StageError;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_tools::{Action, Ending, ToolCall, ToolOutcome};

/// One environment step as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// What was done.
    pub action: Action,
    /// The reflex that did it; otherwise a tool's call did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reflex: Option<String>,
    /// How the state changed: a merge patch on the state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Value>,
    /// The environment's reward, where it is not 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reward: f64,
    /// Achievements that came with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlocked: Vec<String>,
    /// Set if the episode ended with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// Something that happens on a stage, in the order in which it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum StageEvent {
    /// A skill calls a tool or another skill.
    Called {
        /// How many skills are above it.
        depth: u32,
        /// The call.
        call: ToolCall,
    },
    /// The environment took a step.
    Stepped(StepRecord),
    /// A call came back.
    Returned {
        /// How many skills are above it.
        depth: u32,
        /// What it came to.
        outcome: ToolOutcome,
    },
}

/// Who keeps what happens on a stage.
#[async_trait]
pub trait Recorder: Send {
    /// Keeps it, before anything else happens.
    ///
    /// # Errors
    /// When it cannot be kept, or differs from what was recorded before; the skill is stopped at once.
    async fn record(&mut self, event: StageEvent) -> Result<(), StageError>;
}

/// Keeps nothing: for practice, where the verdict is what is logged.
pub struct Unrecorded;

#[async_trait]
impl Recorder for Unrecorded {
    async fn record(&mut self, _event: StageEvent) -> Result<(), StageError> {
        Ok(())
    }
}
