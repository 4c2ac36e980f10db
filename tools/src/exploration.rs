use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_primitives::JsonPointer;

/// How an explorer may act in an environment at random, to find what reaches a goal before the controller is asked.
///
/// The environment states the goal of an episode in words (`EnvironmentSpec::question`) and lists
/// UI elements that can be acted on. Each element is an object with a text `id`. The explorer leaves an element alone when
/// its field `disabled` is true, and also when `hidden` is true, unless the goal mentions the element.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplorationSpec {
    /// JSON pointer into the state to the list of elements: `/elements`.
    pub elements: JsonPointer,
    /// The field with an element's kind, a text: `role`.
    pub kind: String,
    /// The field with an element's visible words, a text that may be empty: `name`.
    pub label: String,
    /// Fields with a whole number that is equal for elements which belong together; a negative number means none: `row`.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The calls that the explorer may make.
    pub actions: Vec<ActionTemplate>,
}

/// A call that the explorer may make, with the source of each argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionTemplate {
    /// The name of the tool.
    pub tool: String,
    /// Sources of the tool's first parameters, in order; the other parameters keep their defaults.
    pub args: Vec<ArgumentSource>,
    /// The probability of this template relative to the others; 1 unless stated.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// Where the explorer takes an argument from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgumentSource {
    /// The id of an element of one of these kinds; of any kind when the list is empty.
    Element(Vec<String>),
    /// One of the texts listed in this field of the element in the argument before: `options`.
    OptionOf(String),
    /// Words of the goal.
    GoalText,
    /// The text in this field of an element: `value`.
    ElementText(String),
    /// One of these values.
    OneOf(Vec<Value>),
}
