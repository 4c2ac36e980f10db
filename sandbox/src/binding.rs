use crate::Limits;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A function that a call offers to the skill as a global of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// A valid JavaScript identifier; it hides a built-in global of the same name.
    pub name: String,
    /// The parameters' names, in the order of a positional call.
    pub parameters: Vec<String>,
    /// What calling it means.
    pub kind: BindingKind,
}

/// What calling a binding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindingKind {
    /// It acts, and may change what the live bindings show. Returns the host's value.
    Call,
    /// It looks. An object comes back as a view whose properties are read afresh after every `Call`; reading one
    /// that does not exist is an error. The host is asked once between two `Call`s.
    Live,
}

impl Binding {
    /// A binding that acts.
    pub fn call<P: Into<String>>(name: impl Into<String>, parameters: impl IntoIterator<Item = P>) -> Self {
        let parameters = parameters.into_iter().map(Into::into).collect();
        Self { name: name.into(), parameters, kind: BindingKind::Call }
    }

    /// A binding without parameters that looks.
    pub fn live(name: impl Into<String>) -> Self {
        Self { name: name.into(), parameters: Vec::new(), kind: BindingKind::Live }
    }
}

/// Answers the calls of a skill.
#[async_trait]
pub trait Host: Send + Sync {
    /// Carries out a call to the binding `name`, which is one of the invocation's. The arguments have the names
    /// of its parameters; those that were left out, or `undefined`, are missing. Nothing else about them is checked.
    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, HostError>;
}

/// Why a host did not answer with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Thrown in the skill as an `Error` with this message; the skill may catch it.
    #[error("{0}")]
    Failed(String),
    /// Ends the skill at once. Nothing in the skill runs any more, not even its `catch` and `finally` blocks.
    #[error("stopped: {reason}")]
    Stop {
        /// The cause, for programs.
        cause: StopCause,
        /// The reason, for people.
        reason: String,
    },
}

/// Why a host ended a skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// The environment steps that the call was given are used up.
    StepBudgetExhausted,
    /// The episode ended before the call.
    EpisodeOver,
    /// The environment was lost in the middle of the episode.
    EnvironmentLost,
    /// The host cannot go on: it failed, or somebody interrupted the run.
    HostFailed,
}

/// One call of a program.
#[derive(Clone)]
pub struct Invocation<'a> {
    /// The entry's arguments, in order.
    pub args: &'a [Value],
    /// What the skill may call.
    pub bindings: &'a [Binding],
    /// Who answers.
    pub host: Arc<dyn Host>,
    /// What it may use.
    pub limits: &'a Limits,
    /// Of `Math.random`.
    pub seed: u64,
    /// What `Date.now()` gives for the whole call: milliseconds since 1970.
    pub now_ms: i64,
}
