use crate::{Effects, Tool, ToolSpec};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// A source of tools: a server, a program, a directory. Its tools may change during a run.
#[async_trait]
pub trait ToolSource: Send + Sync {
    /// Name of the source in the agent file.
    fn name(&self) -> &str;

    /// The tools offered now. Must be cheap: the runtime calls it before every decision.
    fn tools(&self) -> Vec<Arc<dyn Tool>>;

    /// The strictest effects that the source has declared for `tool` so far, which may differ from those that it declares now.
    fn declared_effects(&self, tool: &ToolSpec) -> Effects {
        tool.effects
    }

    /// Events since the last call, for the agent and the log: "the server died and is restarted".
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// Waits until the tools are known, cannot be known, or `within` has passed. Returns whether they are
    /// known.
    async fn ready(&self, within: Duration) -> bool {
        let _ = within;
        true
    }

    /// Stops what the source started. Called once, at the end of a run.
    async fn close(&self) {}
}

/// A source whose tools never change.
pub struct FixedSource {
    name: String,
    tools: Vec<Arc<dyn Tool>>,
}

impl FixedSource {
    /// A source named `name` with these tools.
    pub fn new(name: impl Into<String>, tools: Vec<Arc<dyn Tool>>) -> Self {
        Self { name: name.into(), tools }
    }
}

impl ToolSource for FixedSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        self.tools.clone()
    }
}
