use crate::schema::identifier;
use crate::{CallContext, Content, Effects, FixedSource, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Who is asked.
#[async_trait]
pub trait Person: Send + Sync {
    /// What is said to the question; `None` where nobody is there.
    async fn asked(&self, question: &str) -> Option<String>;

    /// Shows the address of a page where something is to be done, and why; false where nobody would see it.
    fn sent_to(&self, reason: &str, address: &str) -> bool {
        let _ = (reason, address);
        false
    }
}

/// The person at the terminal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HumanSettings {
    /// What is answered where nobody is there; without it the question fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unattended: Option<String>,
    /// Milliseconds that an answer may take, before nobody counts as there; five minutes without a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

struct Human {
    spec: ToolSpec,
    settings: HumanSettings,
    patience: Duration,
    person: Option<Arc<dyn Person>>,
}

impl HumanSettings {
    /// The tool `NAME_ask`.
    pub fn open(self, name: &str, person: Option<Arc<dyn Person>>) -> FixedSource {
        let input = json!({
            "type": "object",
            "properties": {"question": {"type": "string", "minLength": 1, "maxLength": 1000}},
            "required": ["question"],
            "additionalProperties": false,
        });
        let patience = Duration::from_millis(self.timeout_ms.unwrap_or(300_000));
        let spec = ToolSpec {
            effects: Effects { idempotent: true, ..Effects::default() },
            timeout_ms: u64::try_from(patience.as_millis()).ok().map(|ms| ms + 1000),
            ..ToolSpec::new(identifier(name, "ask"), "asks the user something that only the user knows")
                .with_input(input)
        };
        FixedSource::new(name, vec![Arc::new(Human { spec, settings: self, patience, person })])
    }
}

#[async_trait]
impl Tool for Human {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(
        &self,
        args: &Map<String, Value>,
        _context: &CallContext,
    ) -> Result<ToolOutcome, ToolError> {
        let question = args.get("question").and_then(Value::as_str).unwrap_or_default();
        let answer = match &self.person {
            Some(person) => tokio::time::timeout(self.patience, person.asked(question)).await.ok().flatten(),
            None => None,
        };
        Ok(match answer.or_else(|| self.settings.unattended.clone()) {
            Some(text) => ToolOutcome { content: vec![Content::text(text)], ..ToolOutcome::done("") },
            None => ToolOutcome::failed("nobody is there to answer"),
        })
    }
}
