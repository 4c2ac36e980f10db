//! Tools of a child process.

use super::ProcessSettings;
use super::client::{ProcessClient, RequestError};
use super::wire::{Call, Offer};
use crate::{CallContext, Content, Effects, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::{Arc, Weak};

/// Limit on the text that shows a part of an unknown kind, in characters.
const MAX_UNKNOWN_CHARS: usize = 2000;

pub struct ProcessTool {
    spec: ToolSpec,
    /// The program's name for the tool.
    name: String,
    client: Weak<ProcessClient>,
}

impl ProcessTool {
    pub fn new(
        identifier: String,
        offer: Offer,
        settings: &ProcessSettings,
        client: &Arc<ProcessClient>,
    ) -> Self {
        let effects = settings.effects.get(&offer.name).copied().or(offer.effects).unwrap_or(Effects::WORST);
        let name = offer.name.clone();
        let spec = offer.spec(identifier, effects, settings.timeout_ms);
        Self { spec, name, client: Arc::downgrade(client) }
    }
}

#[async_trait]
impl Tool for ProcessTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, args: &Map<String, Value>, context: &CallContext) -> Result<ToolOutcome, ToolError> {
        let failed = |reason: String| ToolError::Failed { name: self.spec.name.clone(), reason };
        let client = self.client.upgrade().ok_or_else(|| failed("its process is not running".to_owned()))?;
        let call = Call {
            tool: &self.name,
            args,
            now_ms: context.now_ms,
            idempotency_key: &context.idempotency_key,
        };
        let params = serde_json::to_value(call).map_err(|error| failed(error.to_string()))?;
        let answer = tokio::select! {
            answer = client.request("call", params, context.progress.clone()) => answer,
            () = context.cancel.cancelled() => {
                return Err(ToolError::Cancelled { name: self.spec.name.clone() });
            }
        };
        match answer {
            Ok(result) => Ok(outcome_of(result)),
            Err(RequestError::Rejected(reason)) => Ok(ToolOutcome::failed(reason)),
            Err(RequestError::Disconnected(reason)) => Err(failed(reason)),
        }
    }
}

/// Converts a result: a string becomes text, an object with `ok` an outcome, anything else a value. The kind of a failure
/// is stated by the runtime only, so a field of that name is ignored like any unknown one.
pub fn outcome_of(result: Value) -> ToolOutcome {
    match result {
        Value::String(text) => ToolOutcome { content: vec![Content::text(text)], ..ToolOutcome::done("") },
        Value::Null => ToolOutcome::done(""),
        Value::Object(mut fields) if fields.contains_key("ok") => {
            fields.entry("message").or_insert_with(|| "".into());
            fields.remove("failure");
            let content = fields.remove("content").map(content).unwrap_or_default();
            match serde_json::from_value::<ToolOutcome>(Value::Object(fields)) {
                Ok(outcome) => ToolOutcome { content, ..outcome },
                Err(error) => ToolOutcome::failed(format!("the result is not a valid outcome: {error}")),
            }
        }
        other => ToolOutcome { value: Some(other), ..ToolOutcome::done("") },
    }
}

/// The parts of a content, read one by one: one of an unknown kind is shown as its JSON.
fn content(parts: Value) -> Vec<Content> {
    let parts = match parts {
        Value::Array(parts) => parts,
        Value::Null => Vec::new(),
        other => vec![other],
    };
    let read = |part: Value| match part {
        Value::String(text) => Content::text(text),
        part => serde_json::from_value(part.clone()).unwrap_or_else(|_| {
            let shown: String = part.to_string().chars().take(MAX_UNKNOWN_CHARS).collect();
            Content::text(format!("[a part that cannot be read] {shown}"))
        }),
    };
    parts.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_part_that_cannot_be_read_loses_no_text_beside_it() {
        let parts = json!([{"type": "text", "text": "kept"}, {"type": "widget"}, "plain", {"type": "image"}]);
        let outcome = outcome_of(json!({"ok": true, "content": parts}));
        assert_eq!((outcome.ok, outcome.content.len()), (true, 4));
        assert!(outcome.to_text().starts_with("kept\n[a part that cannot be read]"), "{outcome:?}");
    }

    #[test]
    fn a_plugin_cannot_state_the_kind_of_a_failure() {
        for failure in ["effect_unknown", "disk_full"] {
            let outcome = outcome_of(json!({"ok": false, "message": "no", "failure": failure}));
            assert_eq!(outcome, ToolOutcome::failed("no"));
        }
    }
}
