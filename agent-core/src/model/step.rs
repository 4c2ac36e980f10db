use super::StateChange;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_tools::{Action, Ending};

/// One environment step as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The action.
    pub action: Action,
    /// The reflex that took it; `None` where the call of a tool did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reflex: Option<String>,
    /// The change of the state, as a merge patch; `None` where the patch changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Value>,
    /// JSON pointers of members that became `null`, which a merge patch cannot express.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nulls: Vec<String>,
    /// The environment's reward, where it is not 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reward: f64,
    /// Achievements unlocked by the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlocked: Vec<String>,
    /// Set if the episode ended with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
}

impl StepRecord {
    /// Turns the state before the step into the one after it.
    pub fn apply(&self, state: &mut Value) {
        StateChange::apply(self.change.as_ref(), &self.nulls, state);
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}
