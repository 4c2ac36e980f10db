//! The steps of a recorded skill, as far as a repair needs them: which tool, at what element, with which argument.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// One call of a recording, without the ids of its page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedStep {
    /// The name of the tool.
    pub tool: String,
    /// Its arguments by name, in the order of its parameters.
    pub args: Vec<(String, RecordedArgument)>,
}

/// An argument of a [`RecordedStep`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedArgument {
    /// An element of this kind with these words.
    Element {
        /// Its kind.
        kind: String,
        /// Its words; may be empty.
        label: String,
    },
    /// The skill's argument with this name.
    Parameter(String),
    /// Always this value.
    Fixed(Value),
}

impl fmt::Display for RecordedArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element { kind, label } if label.is_empty() => f.write_str(kind),
            Self::Element { kind, label } => write!(f, "{kind} {}", Value::from(label.as_str())),
            Self::Parameter(name) => f.write_str(name),
            Self::Fixed(value) => write!(f, "{value}"),
        }
    }
}

/// `type(textbox "User name", user)`
impl fmt::Display for RecordedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<String> = self.args.iter().map(|(_, argument)| argument.to_string()).collect();
        write!(f, "{}({})", self.tool, args.join(", "))
    }
}
