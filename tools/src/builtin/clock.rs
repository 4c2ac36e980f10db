use crate::schema::identifier;
use crate::{CallContext, Effects, FixedSource, FunctionTool, Json, ToolSpec};
use std::sync::Arc;

/// A source with one tool, `NAME_now`. It returns the time of the call as the log records it, so that a
/// replay returns the same value.
pub fn clock(name: &str) -> FixedSource {
    let spec = ToolSpec {
        effects: Effects { idempotent: true, ..Effects::default() },
        ..ToolSpec::new(identifier(name, "now"), "the time in milliseconds since 1970, UTC")
    };
    let now = |_, context: CallContext| async move { Json(context.now_ms) };
    FixedSource::new(name, vec![Arc::new(FunctionTool::with_spec(spec, now))])
}
