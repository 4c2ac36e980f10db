use crate::schema::identifier;
use crate::{CallContext, Effects, Tool, ToolError, ToolOutcome, ToolSource, ToolSpec};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Tells the time of the log: in a replay it is what it was.
pub struct ClockSource {
    name: String,
    now: Arc<dyn Tool>,
}

struct Now(ToolSpec);

impl ClockSource {
    /// The clock as `NAME_now`.
    pub fn open(name: &str) -> Self {
        let spec = ToolSpec {
            effects: Effects { idempotent: true, ..Effects::default() },
            ..ToolSpec::new(identifier(name, "now"), "the time in milliseconds since 1970, UTC")
        };
        Self { name: name.to_owned(), now: Arc::new(Now(spec)) }
    }
}

impl ToolSource for ClockSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        vec![Arc::clone(&self.now)]
    }
}

#[async_trait]
impl Tool for Now {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(
        &self,
        _args: &Map<String, Value>,
        context: &CallContext,
    ) -> Result<ToolOutcome, ToolError> {
        Ok(ToolOutcome { value: Some(context.now_ms.into()), ..ToolOutcome::done("") })
    }
}
