//! A tool of a program.

use super::ProcessSettings;
use super::conversation::{Conversation, Fault};
use super::wire::{Call, Offer};
use crate::{CallContext, Content, Effects, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::{Arc, Weak};

pub struct ProcessTool {
    spec: ToolSpec,
    /// The program's name for it.
    name: String,
    conversation: Weak<Conversation>,
}

impl ProcessTool {
    pub fn new(
        source: &str,
        offer: Offer,
        settings: &ProcessSettings,
        conversation: &Arc<Conversation>,
    ) -> Self {
        let effects = settings.effects.get(&offer.name).copied().or(offer.effects).unwrap_or(Effects::WORST);
        let name = offer.name.clone();
        let spec = offer.spec(source, effects, settings.timeout_ms);
        Self { spec, name, conversation: Arc::downgrade(conversation) }
    }
}

#[async_trait]
impl Tool for ProcessTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, args: &Map<String, Value>, context: &CallContext) -> Result<ToolOutcome, ToolError> {
        let failed = |reason: String| ToolError::Failed { name: self.spec.name.clone(), reason };
        let conversation =
            self.conversation.upgrade().ok_or_else(|| failed("its program is not there".to_owned()))?;
        let call = Call {
            tool: &self.name,
            args,
            now_ms: context.now_ms,
            idempotency_key: &context.idempotency_key,
        };
        let params = serde_json::to_value(call).map_err(|error| failed(error.to_string()))?;
        let answer = tokio::select! {
            answer = conversation.ask("call", params, context.progress.clone()) => answer,
            () = context.cancel.cancelled() => {
                return Err(ToolError::Cancelled { name: self.spec.name.clone() });
            }
        };
        match answer {
            Ok(result) => Ok(outcome_of(result)),
            Err(Fault::Said(reason)) => Ok(ToolOutcome::failed(reason)),
            Err(Fault::Gone(reason)) => Err(failed(reason)),
        }
    }
}

/// A result as it was written: an outcome, or a text, or any other value.
pub fn outcome_of(result: Value) -> ToolOutcome {
    match result {
        Value::String(text) => ToolOutcome { content: vec![Content::text(text)], ..ToolOutcome::done("") },
        Value::Null => ToolOutcome::done(""),
        Value::Object(mut fields) if fields.contains_key("ok") => {
            fields.entry("message").or_insert_with(|| "".into());
            match serde_json::from_value(Value::Object(fields)) {
                Ok(outcome) => outcome,
                Err(error) => ToolOutcome::failed(format!("the result cannot be read: {error}")),
            }
        }
        other => ToolOutcome { value: Some(other), ..ToolOutcome::done("") },
    }
}
