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
}
