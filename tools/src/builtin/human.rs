use crate::schema::identifier;
use crate::{Effects, FixedSource, FunctionTool, ToolSpec};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A way to reach the user: the terminal, or whatever the caller provides.
#[async_trait]
pub trait Person: Send + Sync {
    /// Asks the user and returns the answer; `None` if nobody is there to answer.
    async fn answer(&self, question: &str) -> Option<String>;

    /// Shows the user a URL to visit and the reason. Returns false if nobody would see it.
    fn show_page(&self, reason: &str, address: &str) -> bool {
        let _ = (reason, address);
        false
    }
}

/// `[tools.NAME]` with `kind = "human"`: asks the user at the terminal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HumanSettings {
    /// The answer when nobody is there. Without it the call fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unattended: Option<String>,
    /// How long to wait for an answer, in milliseconds. Default five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

struct Human {
    settings: HumanSettings,
    timeout: Duration,
    person: Option<Arc<dyn Person>>,
}

impl HumanSettings {
    /// Builds a source with one tool, `NAME_ask`. Without a `person` every question gets `unattended`.
    pub fn open(self, name: &str, person: Option<Arc<dyn Person>>) -> FixedSource {
        let input = json!({
            "type": "object",
            "properties": {"question": {"type": "string", "minLength": 1, "maxLength": 1000}},
            "required": ["question"],
            "additionalProperties": false,
        });
        let timeout = Duration::from_millis(self.timeout_ms.unwrap_or(300_000));
        let spec = ToolSpec {
            effects: Effects { idempotent: true, ..Effects::default() },
            timeout_ms: u64::try_from(timeout.as_millis()).ok().map(|ms| ms.saturating_add(1000)),
            ..ToolSpec::new(identifier(name, "ask"), "asks the user something that only the user knows")
                .with_input(input)
        };
        let human = Arc::new(Human { settings: self, timeout, person });
        let tool = FunctionTool::with_spec(spec, move |args, _| {
            let human = Arc::clone(&human);
            async move { human.ask(args.get("question").and_then(Value::as_str).unwrap_or_default()).await }
        });
        FixedSource::new(name, vec![Arc::new(tool)])
    }
}

impl Human {
    async fn ask(&self, question: &str) -> Result<String, &'static str> {
        let answer = match &self.person {
            Some(person) => tokio::time::timeout(self.timeout, person.answer(question)).await.ok().flatten(),
            None => None,
        };
        answer.or_else(|| self.settings.unattended.clone()).ok_or("nobody is there to answer")
    }
}
