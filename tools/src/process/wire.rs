//! Messages of the process protocol.

use crate::outside::schema::readable;
use crate::schema::{identifiers, no_arguments};
use crate::supervision::Supervisor;
use crate::{Effects, ResultKind, ToolSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A request or notification to the process.
#[derive(Debug, Serialize)]
pub struct Request<'a> {
    /// Request id; `None` for a notification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Method name.
    pub method: &'a str,
    /// Parameters of the method.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

/// A message from the process: a response, a progress notification or a tool change notification.
#[derive(Debug, Deserialize)]
pub struct Incoming {
    /// Id of the answered request.
    pub id: Option<u64>,
    /// The result, if the request succeeded. `null` is a result.
    #[serde(default, deserialize_with = "given")]
    pub result: Option<Value>,
    /// The error, if it failed: a string, or an object with a `message` as in JSON-RPC.
    #[serde(default, deserialize_with = "given")]
    pub error: Option<Value>,
    /// Progress of a call.
    pub progress: Option<Progress>,
    /// The list of tools has changed.
    #[serde(default)]
    pub tools_changed: bool,
}

/// Progress of a call.
#[derive(Debug, Deserialize)]
pub struct Progress {
    pub id: u64,
    pub done: f64,
    pub total: Option<f64>,
    pub message: Option<String>,
}

impl Incoming {
    /// The response, if the message is one.
    pub fn response(self) -> Option<Result<Value, String>> {
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

/// Distinguishes a `null` value from a missing key.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Response to `describe`. Tools are decoded one by one, so that one invalid tool does not hide the others.
#[derive(Debug, Deserialize)]
pub struct Description {
    #[serde(default)]
    pub tools: Vec<Value>,
}

/// Limit on the tools of one peer.
const MAX_TOOLS: usize = 2000;

impl Description {
    /// Decodes the tools, each with an identifier of its own under the source's name. Each that cannot be used is reported to
    /// `supervisor`.
    pub fn offers(self, supervisor: &Supervisor) -> Vec<(String, Offer)> {
        let skipped = |error: &str| supervisor.notice(&format!("a tool was skipped, {error}"));
        if self.tools.len() > MAX_TOOLS {
            supervisor
                .notice(&format!("only the first {MAX_TOOLS} of its {} tools are used", self.tools.len()));
        }
        let mut offers: Vec<Offer> = Vec::new();
        for offer in self.tools.into_iter().take(MAX_TOOLS) {
            let read = serde_json::from_value::<Offer>(offer)
                .map_err(|error| format!("its description is not valid: {error}"))
                .and_then(|offer| match readable(&offer.input) {
                    Ok(input) => Ok(Offer { input, ..offer }),
                    Err(reason) => Err(format!("`{}`: {reason}", offer.name)),
                });
            match read {
                Ok(offer) => offers.push(offer),
                Err(reason) => skipped(&reason),
            }
        }
        let names: Vec<String> = offers.iter().map(|offer| offer.name.clone()).collect();
        let identifiers = identifiers(supervisor.name(), &names);
        let named = offers.into_iter().zip(identifiers).filter_map(|(offer, identifier)| {
            if identifier.is_none() {
                skipped(&format!("it is the second of the name `{}`", offer.name));
            }
            Some((identifier?, offer))
        });
        named.collect()
    }
}

/// One tool that the process offers.
#[derive(Debug, Deserialize)]
pub struct Offer {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// JSON Schema of the arguments. Default: no arguments.
    #[serde(default = "no_arguments")]
    pub input: Value,
    pub effects: Option<Effects>,
    pub returns: Option<ResultKind>,
    pub timeout_ms: Option<u64>,
}

impl Offer {
    /// The spec under the name `identifier`. `timeout_ms` applies if the tool declares no limit.
    pub fn spec(self, identifier: String, effects: Effects, timeout_ms: Option<u64>) -> ToolSpec {
        let description = self.description.split_whitespace().collect::<Vec<_>>().join(" ");
        ToolSpec {
            effects,
            returns: self.returns,
            timeout_ms: self.timeout_ms.or(timeout_ms),
            untrusted: true,
            ..ToolSpec::new(identifier, description).with_input(self.input)
        }
    }
}

/// Parameters of a `call` request.
#[derive(Debug, Serialize)]
pub struct Call<'a> {
    pub tool: &'a str,
    pub args: &'a Map<String, Value>,
    pub now_ms: i64,
    pub idempotency_key: &'a str,
}
