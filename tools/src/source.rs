use crate::Tool;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// Where tools come from: a program that offers some, a server, a directory. What it offers may change while a run goes on.
#[async_trait]
pub trait ToolSource: Send + Sync {
    /// The name that the agent file gives it.
    fn name(&self) -> &str;

    /// What it offers now. Cheap: it is asked before every decision.
    fn tools(&self) -> Vec<Arc<dyn Tool>>;

    /// What happened to it since this was last asked, for the agent and the log: "the server died and is started again".
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// Waits until it is known what it offers, that cannot be found out, or the time is over. Says whether it is known.
    async fn ready(&self, within: Duration) -> bool {
        let _ = within;
        true
    }

    /// Ends what it started. Called once, at the end of a run.
    async fn close(&self) {}
}

/// A source that offers the same from its beginning to its end.
pub struct FixedSource {
    name: String,
    tools: Vec<Arc<dyn Tool>>,
}

impl FixedSource {
    /// These tools.
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
