use crate::Limits;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A host function that appears to the skill as a global.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// A valid JavaScript identifier. It shadows a built-in global of the same name.
    pub name: String,
    /// Parameter names in the order of a positional call.
    pub parameters: Vec<String>,
    /// Meaning of a call.
    pub kind: BindingKind,
}

/// Kinds of bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindingKind {
    /// An action, which may change what live bindings show. Returns the host's value.
    Call,
    /// An observation. An object is returned as a view whose properties are current after every `Call`;
    /// reading an unknown property throws. The host is asked at most once between two `Call`s.
    Live,
}

impl Binding {
    /// A binding of kind [`BindingKind::Call`].
    pub fn call<P: Into<String>>(name: impl Into<String>, parameters: impl IntoIterator<Item = P>) -> Self {
        let parameters = parameters.into_iter().map(Into::into).collect();
        Self { name: name.into(), parameters, kind: BindingKind::Call }
    }

    /// A parameterless binding of kind [`BindingKind::Live`].
    pub fn live(name: impl Into<String>) -> Self {
        Self { name: name.into(), parameters: Vec::new(), kind: BindingKind::Live }
    }
}

/// Answers a skill's calls.
#[async_trait]
pub trait Host: Send + Sync {
    /// Carries out a call to the binding `name`. Argument names are the binding's parameters; omitted or
    /// `undefined` arguments are missing. Nothing else about the arguments is checked.
    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, HostError>;
}

/// Why a host call has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Thrown in the skill as an `Error` with this message; the skill may catch it.
    #[error("{0}")]
    Failed(String),
    /// Ends the skill at once. No code of the skill runs afterwards, not even `catch` and `finally` blocks.
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
    /// The call's budget of environment steps is exhausted.
    StepBudgetExhausted,
    /// The episode ended before or during the call.
    EpisodeOver,
    /// The environment was lost during the episode.
    EnvironmentLost,
    /// The host failed, or the run was interrupted.
    HostFailed,
}

/// One call of a program.
#[derive(Clone)]
pub struct Invocation<'a> {
    /// Arguments of the entry function, in order.
    pub args: &'a [Value],
    /// Functions that the skill may call.
    pub bindings: &'a [Binding],
    /// Answers the skill's calls.
    pub host: Arc<dyn Host>,
    /// Resource limits.
    pub limits: &'a Limits,
    /// Seed of `Math.random`.
    pub seed: u64,
    /// Value of `Date.now()` for the whole call, in milliseconds since 1970.
    pub now_ms: i64,
}
