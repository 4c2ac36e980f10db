use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a world may be played with: what may be done in it by chance, so that something is found that works before
/// anybody thinks about it.
///
/// A world says what is to be done in words ([`EnvironmentSpec::question`](crate::EnvironmentSpec)), and shows things that can be acted on, each an object with an `id`. Those
/// with `disabled` set are left alone; those with `hidden` set too, unless what is to be done speaks of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Play {
    /// JSON pointer to the list of things: `/elements`.
    pub things: String,
    /// The field of a thing that says what kind of thing it is: `role`.
    pub kind: String,
    /// The field with its words: `name`.
    pub label: String,
    /// Fields with numbers that things which belong together have in common, none where negative: `row`.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What may be done.
    pub moves: Vec<Move>,
}

/// A call that may be made by chance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The tool.
    pub tool: String,
    /// What its first parameters are given.
    pub args: Vec<Stuff>,
    /// How often it is made, beside the others.
    #[serde(default = "once")]
    pub often: u32,
}

fn once() -> u32 {
    1
}

/// What a parameter is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stuff {
    /// The id of a thing of one of these kinds; of any where there are none.
    Thing(Vec<String>),
    /// One of the texts that this field of the thing before is a list of.
    Option(String),
    /// Words out of what is to be done.
    Said,
    /// Words that stand on a thing: those in this field.
    Seen(String),
    /// One of these.
    OneOf(Vec<Value>),
}
