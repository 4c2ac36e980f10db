use crate::schema::identifier;
use crate::{CallContext, Effects, FixedSource, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::Arc;

struct ClockTool(ToolSpec);

/// A source with one tool, `NAME_now`. It returns the time of the call as the log records it, so that a
/// replay returns the same value.
pub fn clock(name: &str) -> FixedSource {
    let spec = ToolSpec {
        effects: Effects { idempotent: true, ..Effects::default() },
        ..ToolSpec::new(identifier(name, "now"), "the time in milliseconds since 1970, UTC")
    };
    FixedSource::new(name, vec![Arc::new(ClockTool(spec))])
}

#[async_trait]
impl Tool for ClockTool {
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
