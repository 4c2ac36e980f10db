//! The messages.

use crate::revival::Standing;
use crate::schema::identifier;
use crate::{Effects, ResultKind, ToolSpec};
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
    /// The answer, if it could be given; `null` is one.
    #[serde(default, deserialize_with = "given")]
    pub result: Option<Value>,
    /// Why it could not: a text, or what other protocols put there.
    #[serde(default, deserialize_with = "given")]
    pub error: Option<Value>,
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

impl Told {
    /// The answer, if this is one.
    pub fn answer(self) -> Option<Result<Value, String>> {
        match (self.result, self.error) {
            (_, Some(Value::String(error))) => Some(Err(error)),
            (_, Some(error)) => {
                let message = error.get("message").and_then(Value::as_str).map(str::to_owned);
                Some(Err(message.unwrap_or_else(|| error.to_string())))
            }
            (Some(result), None) => Some(Ok(result)),
            (None, None) => None,
        }
    }
}

/// What is there, `null` too.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What a program is. Its tools are read one by one, so that one that cannot be read costs itself only.
#[derive(Debug, Deserialize)]
pub struct Description {
    #[serde(default)]
    pub tools: Vec<Value>,
}

impl Description {
    /// Those of its tools that can be read; of the others `standing` is told.
    pub fn offers(self, standing: &Standing) -> Vec<Offer> {
        let read = |offer| match serde_json::from_value(offer) {
            Ok(offer) => Some(offer),
            Err(error) => {
                standing.notice(&format!("one is left out, it cannot be read: {error}"));
                None
            }
        };
        self.tools.into_iter().filter_map(read).collect()
    }
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

impl Offer {
    /// What it is to an agent that has it from `source`; `timeout_ms` counts where it does not say how long it may take.
    pub fn spec(self, source: &str, effects: Effects, timeout_ms: Option<u64>) -> ToolSpec {
        let description = self.description.split_whitespace().collect::<Vec<_>>().join(" ");
        ToolSpec {
            effects,
            returns: self.returns,
            timeout_ms: self.timeout_ms.or(timeout_ms),
            ..ToolSpec::new(identifier(source, &self.name), description).with_input(self.input)
        }
    }
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
