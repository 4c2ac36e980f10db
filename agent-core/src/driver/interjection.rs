//! What comes between two records of the loop's own: the run was taken up again, or branched off.
//!
//! A replay meets an interjection where it was recorded, and goes on from there as the run did.

use crate::config::{Budgets, RunConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_controller::ModelInfo;
use sojourn_tools::ToolSpec;
use std::collections::BTreeMap;

/// A change of a run's circumstances that its own loop did not ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "interjection", rename_all = "snake_case")]
pub enum Interjection {
    /// The process had stopped, and another one took the run up. The time between is not the run's.
    Resumed {
        /// What the run may use up more from now on, if that was changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budgets: Option<Budgets>,
    },
    /// Until here the records are another run's; from here on this run goes its own way.
    Forked {
        /// This run.
        run: String,
        /// The other one.
        parent: String,
        /// The last record that both have in common.
        seq: u64,
        /// The settings from now on.
        config: Box<RunConfig>,
        /// What the run may use up more from now on, if that was changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budgets: Option<Budgets>,
        /// The controller's model from now on.
        model: Box<ModelInfo>,
    },
    /// Tools came or went, or something happened to them.
    Tools {
        /// Those that are new, or are not what they were.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        appeared: Vec<ToolSpec>,
        /// Why the arguments of some of them are not held to their schema while the controller writes them, but checked
        /// afterwards.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        loose: BTreeMap<String, String>,
        /// Names of those that are gone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        vanished: Vec<String>,
        /// What else happened.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notices: Vec<String>,
    },
}

impl Interjection {
    /// Reads one from the payload of its record. What a fork changes stands beside where it branched off.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(mut payload: Value) -> serde_json::Result<Self> {
        let changes = payload.get_mut("changes").map(Value::take);
        serde_json::from_value(changes.unwrap_or(payload))
    }

    /// The kind of its record.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Resumed { .. } => "resumed",
            Self::Forked { .. } => "forked",
            Self::Tools { .. } => "tools",
        }
    }

    /// Whether records of this kind are interjections.
    pub fn is_kind(kind: &str) -> bool {
        matches!(kind, "resumed" | "forked" | "tools")
    }
}

/// An interjection, and the times around it in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Interjected {
    /// What it was.
    pub what: Interjection,
    /// When the record before it was made.
    pub before_ms: i64,
    /// When it came.
    pub at_ms: i64,
}
