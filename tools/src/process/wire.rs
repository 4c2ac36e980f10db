//! The messages.

use crate::{Effects, ResultKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What the runtime says.
#[derive(Debug, Serialize)]
pub struct Ask<'a> {
    /// Tells answers apart; missing where none is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// What is wanted.
    pub method: &'a str,
    /// With what.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

/// What the program says: an answer, progress, or that its tools have changed.
#[derive(Debug, Deserialize)]
pub struct Told {
    /// Of the question that this answers.
    pub id: Option<u64>,
    /// The answer, if it could be given.
    pub result: Option<Value>,
    /// Why it could not.
    pub error: Option<String>,
    /// How far a call has got.
    pub progress: Option<Progress>,
    /// Whether what it offers has changed.
    #[serde(default)]
    pub tools_changed: bool,
}

/// How far a call has got.
#[derive(Debug, Deserialize)]
pub struct Progress {
    pub id: u64,
    pub done: f64,
    pub total: Option<f64>,
    pub message: Option<String>,
}

/// What a program is.
#[derive(Debug, Deserialize)]
pub struct Description {
    #[serde(default)]
    pub tools: Vec<Offer>,
}

/// One of its tools.
#[derive(Debug, Deserialize)]
pub struct Offer {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of the arguments; none without a word.
    #[serde(default = "no_arguments")]
    pub input: Value,
    pub effects: Option<Effects>,
    pub returns: Option<ResultKind>,
    pub timeout_ms: Option<u64>,
}

fn no_arguments() -> Value {
    json!({"type": "object", "properties": {}, "additionalProperties": false})
}

/// The parameters of a call.
#[derive(Debug, Serialize)]
pub struct Call<'a> {
    pub tool: &'a str,
    pub args: &'a Map<String, Value>,
    pub now_ms: i64,
    pub idempotency_key: &'a str,
}
