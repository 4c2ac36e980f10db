use crate::{Content, ToolSpec};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One capability behind a schema.
#[async_trait]
pub trait Tool: Send + Sync {
    /// Its name, parameters and effects.
    fn spec(&self) -> &ToolSpec;

    /// Carries out a call whose arguments the toolbox has validated.
    ///
    /// The toolbox watches the time: a call that outlives [`ToolSpec::timeout_ms`] is told so through
    /// [`CallContext::cancel`] and dropped soon after.
    async fn call(&self, args: &Map<String, Value>, context: &CallContext) -> Result<ToolOutcome, ToolError>;
}

/// What a tool is told besides its arguments.
#[derive(Clone, Default)]
pub struct CallContext {
    /// The log's time of the call, milliseconds since 1970. A tool that needs a clock takes this one.
    pub now_ms: i64,
    /// The same when a call is repeated after a crash, and for no other call: for peers that can tell repetitions.
    pub idempotency_key: String,
    /// Thrown when nobody waits for the result any more.
    pub cancel: CancellationToken,
    /// Who is told how far a long call has got.
    pub progress: Option<Arc<dyn Fn(CallProgress) + Send + Sync>>,
}

/// How far a call has got.
#[derive(Debug, Clone, PartialEq)]
pub struct CallProgress {
    /// So much is done; it only grows.
    pub done: f64,
    /// Of so much, if that is known.
    pub total: Option<f64>,
    /// What is being done.
    pub message: Option<String>,
}

/// A request to a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The tool's name.
    pub name: String,
    /// Its arguments by name.
    #[serde(default)]
    pub args: Map<String, Value>,
}

/// What a call came to, as the tool tells it. Failing at the task is an outcome, not an error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ToolOutcome {
    /// Whether it did what it is for. Skills see this as `true` or `false` when there is no `value`.
    pub ok: bool,
    /// One line of what happened, for the trace: "needs 1 wood, have 0".
    pub message: String,
    /// A result to compute with, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What was missing when it failed, so that a plan can be corrected by code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Need>,
    /// What it shows: text, pictures, sounds, links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Content>,
    /// The cause of a failure, where programs decide by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
}

/// Causes of a failed call that programs decide by. The message says the same for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The policy, or the person who was asked, denied the call; the tool was not called.
    Denied,
    /// The process died during the call, which must not be repeated: nobody knows whether it took effect.
    EffectUnknown,
    /// The call wanted an environment step, and the steps that it was given were used up.
    StepBudgetExhausted,
    /// The episode had ended before the call, or ended in it.
    EpisodeOver,
    /// The environment was lost during the call.
    EnvironmentLost,
}

/// Something a failed call would have needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// More of an item.
    Item {
        /// Its name.
        item: String,
        /// How many the call needs.
        count: u32,
        /// How many there were.
        have: u32,
    },
    /// A thing standing next to the agent.
    Nearby {
        /// Its name.
        kind: String,
    },
    /// A thing that has not been seen yet.
    Seen {
        /// Its name.
        kind: String,
    },
    /// A thing in front of the agent; it may have moved away.
    Facing {
        /// Its name; empty where anything of use would do.
        kind: String,
    },
    /// Time: the call can succeed later.
    Later {
        /// What to wait for: "energy is below 9".
        until: String,
    },
}

/// Why a tool could not be called at all.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The tool itself failed: its process died, its server did not answer.
    #[error("tool `{name}` failed: {reason}")]
    Failed {
        /// The tool.
        name: String,
        /// What happened.
        reason: String,
    },
    /// It took too long.
    #[error("tool `{name}` did not answer within {seconds} s")]
    Timeout {
        /// The tool.
        name: String,
        /// The limit.
        seconds: f64,
    },
    /// Nobody waits for it any more.
    #[error("tool `{name}` was interrupted")]
    Cancelled {
        /// The tool.
        name: String,
    },
}

impl ToolOutcome {
    /// It worked.
    pub fn done(message: impl Into<String>) -> Self {
        Self { ok: true, message: message.into(), ..Self::default() }
    }

    /// It did not.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { ok: false, message: message.into(), ..Self::default() }
    }

    /// It did not, for a cause that programs decide by.
    pub fn failed_by(failure: FailureKind, message: impl Into<String>) -> Self {
        Self { failure: Some(failure), ..Self::failed(message) }
    }

    /// It did not, for want of these.
    pub fn lacking(message: impl Into<String>, missing: Vec<Need>) -> Self {
        Self { ok: false, message: message.into(), missing, ..Self::default() }
    }
}
