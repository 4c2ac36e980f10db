//! A policy's answer to questions that no person answers.

use serde::{Deserialize, Serialize};

/// What happens to a call that the policy asks about while no person is at the terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unanswered {
    /// It is denied.
    #[default]
    Deny,
    /// The run waits for an answer.
    Wait,
    /// The run goes on with other things.
    Continue,
}

impl Unanswered {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(crate) fn is_deny(&self) -> bool {
        *self == Self::Deny
    }
}

/// The answer that a question gets when its time is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeoutAnswer {
    /// The call is not made.
    #[default]
    Deny,
    /// The call is made, unless it cannot be undone.
    Allow,
}

impl TimeoutAnswer {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(crate) fn is_deny(&self) -> bool {
        *self == Self::Deny
    }
}
