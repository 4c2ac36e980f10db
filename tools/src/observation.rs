use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the agent sees of its environment at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// What the controller reads: a few short lines, distances as "2 north, 3 west".
    pub text: String,
    /// What skills, reflexes and conditions read: a JSON object of numbers, strings, booleans and objects.
    pub state: Value,
}
