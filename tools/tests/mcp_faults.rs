//! Servers that misbehave cost the call that met it, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use serde_json::{Map, json};
use sojourn_tools::mcp::{McpSettings, McpSource};
use sojourn_tools::{CallContext, CallLimits, ToolCall, ToolOutcome, ToolSource as _, Toolbox};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    source: Arc<McpSource>,
    toolbox: Toolbox,
}

impl Bench {
    /// A server with this fault; a call may take a second.
    async fn with(fault: &str) -> Self {
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/faulty_mcp.py");
        let command = ["python3", server.to_str().unwrap(), fault].map(str::to_owned).to_vec();
        let settings = McpSettings { command, timeout_ms: Some(2000), ..McpSettings::default() };
        let source = Arc::new(McpSource::open("faulty", settings, Path::new(".")).unwrap());
        assert!(source.ready(PATIENCE).await, "{:?}", source.notices());
        let limits = CallLimits { timeout: Duration::from_secs(2), result_bytes: 1 << 20 };
        let toolbox = Toolbox::new(vec![source.clone()], limits);
        Self { source, toolbox }
    }

    async fn call(&self, name: &str) -> ToolOutcome {
        match self.toolbox.ready(&ToolCall { name: name.into(), args: Map::new() }) {
            Ok(ready) => ready.run(CallContext::default()).await,
            Err(refusal) => ToolOutcome::failed(refusal.to_string()),
        }
    }

    /// Waits until the tool is there, or is not.
    async fn until(&self, name: &str, there: bool) -> Vec<String> {
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

#[tokio::test]
async fn a_fault_costs_one_call_and_the_server_goes_on() {
    for (fault, ok, part) in [
        ("hang", false, "did not answer within 2 s"),
        ("drip", true, "slowly"),
        ("noise", true, "done"),
        ("wrong-id", false, "did not answer within 2 s"),
        ("flood", false, "did not answer within 2 s"),
        ("utf8", false, "did not answer within 2 s"),
        ("large", false, "did not answer within 2 s"),
    ] {
        let bench = Bench::with(fault).await;
        let outcome = bench.call("faulty_misbehave").await;
        let words = outcome.words();
        assert!(outcome.ok == ok && words.contains(part), "{fault}: {outcome:?}");
        let after = bench.call("faulty_behave").await;
        assert_eq!((after.ok, after.words().as_str()), (true, "well"), "{fault}, afterwards");
        bench.source.close().await;
    }
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_and_its_tools_are_gone_meanwhile() {
    for fault in ["exit", "mid-message"] {
        let bench = Bench::with(fault).await;
        let outcome = bench.call("faulty_misbehave").await;
        assert!(!outcome.ok, "{fault}: {outcome:?}");
        let notices = bench.until("faulty_behave", false).await;
        assert!(notices.iter().any(|notice| notice.contains("tried again in 1 s")), "{fault}: {notices:?}");
        if fault == "exit" {
            assert!(notices[0].contains("it was too much for me"), "{notices:?}");
        }
        let gone = bench.call("faulty_behave").await;
        assert!(gone.message.starts_with("no tool named"), "{gone:?}");
        bench.until("faulty_behave", true).await;
        assert!(bench.call("faulty_behave").await.ok, "{fault}: not back");
        bench.source.close().await;
    }
}

#[tokio::test]
async fn a_list_that_changes_in_mid_call_is_seen_and_a_wrong_schema_leaves_its_tool_out() {
    let bench = Bench::with("change").await;
    assert!(bench.call("faulty_misbehave").await.ok);
    bench.until("faulty_late", true).await;
    bench.source.close().await;

    let bench = Bench::with("wrong-schema").await;
    let names: Vec<String> = bench.toolbox.specs().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["faulty_behave"]);
    bench.source.close().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_says_why() {
    for (settings, part) in [
        (json!({"command": ["/nowhere/server"]}), "cannot be started"),
        (json!({"command": ["python3", "-c", "import sys; sys.exit('no licence')"]}), "no licence"),
        (json!({"url": "http://127.0.0.1:9/mcp"}), "faulty"),
    ] {
        let settings: McpSettings = serde_json::from_value(settings).unwrap();
        let source = McpSource::open("faulty", settings, Path::new(".")).unwrap();
        assert!(!source.ready(PATIENCE).await);
        let begun = Instant::now();
        let notices = loop {
            let notices = source.notices();
            if !notices.is_empty() || begun.elapsed() > PATIENCE {
                break notices;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(notices[0].contains(part), "{notices:?}");
        source.close().await;
    }
    let neither = McpSource::open("it", McpSettings::default(), Path::new("."));
    assert_eq!(neither.err().unwrap().to_string(), "the MCP server `it` needs either `command` or `url`");
}
