use crate::ToolCall;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the agent observes at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Text for the controller: a few short lines, with distances such as "2 north, 3 west".
    pub text: String,
    /// Structured state for skills, reflexes and conditions: a JSON object of numbers, strings, booleans,
    /// arrays and objects.
    pub state: Value,
    /// The calls that are possible now, where the world says so; empty where it does not. At most a few hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub available: Vec<ToolCall>,
}

impl Observation {
    /// An observation of a world that does not say which calls are possible.
    pub fn new(text: impl Into<String>, state: Value) -> Self {
        Self { text: text.into(), state, available: Vec::new() }
    }
}
