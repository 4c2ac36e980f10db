//! What a policy says for calls that it asks about while nobody is there.

use serde::{Deserialize, Serialize};

/// What becomes of a call that is asked about while nobody is there.
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

/// The answer of a question that nobody answered in time.
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
