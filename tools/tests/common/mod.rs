//! A toolbox with one source that misbehaves.

#![allow(dead_code, reason = "each test uses a part of it")]

use serde_json::Map;
use sojourn_tools::{CallContext, CallLimits, ToolCall, ToolOutcome, ToolSource, Toolbox};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long anything may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The command line of a server of the tests that has this fault.
pub fn faulty(server: &str, fault: &str) -> Vec<String> {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(server);
    ["python3", server.to_str().unwrap(), fault].map(str::to_owned).to_vec()
}

pub struct Bench {
    pub source: Arc<dyn ToolSource>,
    pub toolbox: Toolbox,
}

impl Bench {
    /// A call may take two seconds, and a result a megabyte.
    pub fn new(source: Arc<dyn ToolSource>) -> Self {
        let limits = CallLimits { timeout: Duration::from_secs(2), result_bytes: 1 << 20 };
        let toolbox = Toolbox::new(vec![Arc::clone(&source)], limits);
        Self { source, toolbox }
    }

    pub async fn call(&self, name: &str) -> ToolOutcome {
        match self.toolbox.ready(&ToolCall { name: name.into(), args: Map::new() }) {
            Ok(ready) => ready.run(CallContext::default()).await,
            Err(refusal) => ToolOutcome::failed(refusal.to_string()),
        }
    }

    /// Waits until the tool is there, or is not.
    pub async fn until(&self, name: &str, there: bool) -> Vec<String> {
        let begun = Instant::now();
        let mut notices = Vec::new();
        loop {
            notices.extend(self.toolbox.look().notices);
            if self.toolbox.specs().iter().any(|spec| spec.name == name) == there {
                return notices;
            }
            assert!(begun.elapsed() < PATIENCE, "`{name}` there: {}, after {notices:?}", !there);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What the source says of itself first.
pub async fn first_notice(source: &dyn ToolSource) -> String {
    let begun = Instant::now();
    loop {
        if let Some(notice) = source.notices().into_iter().next() {
            return notice;
        }
        assert!(begun.elapsed() < PATIENCE, "it says nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
