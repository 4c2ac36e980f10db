//! Faulty MCP servers fail the affected call and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::common::{
    Bench, FOR_EVER, PATIENCE, each_call_receives_its_own_progress, each_fails_one_call, each_is_restarted,
    faulty, first_notice, tool_lists_are_tracked,
};
use serde_json::json;
use sojourn_tools::ToolSource as _;
use sojourn_tools::mcp::{McpSettings, McpSource};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

async fn bench(fault: &str) -> Bench {
    started(fault, 10_000).await
}

/// A bench with a long time limit, so that a call which ends only by timeout makes the test fail.
async fn patient(fault: &str) -> Bench {
    started(fault, FOR_EVER).await
}

async fn started(fault: &str, timeout_ms: u64) -> Bench {
    let command = faulty("faulty_mcp.py", fault);
    connected(McpSettings { command, timeout_ms: Some(timeout_ms), ..McpSettings::default() }).await
}

async fn connected(settings: McpSettings) -> Bench {
    let source = Arc::new(McpSource::open("faulty", settings, Path::new(".")).unwrap());
    assert!(source.ready(PATIENCE).await, "{:?}", source.notices());
    Bench::new(source)
}

#[tokio::test]
async fn a_fault_fails_one_call_and_the_server_stays_connected() {
    let cases = [
        ("hang", false, "did not answer within 10 s"),
        ("drip", true, "slowly"),
        ("noise", true, "done"),
        ("wrong-id", false, "did not answer within 10 s"),
    ];
    each_fails_one_call(bench, &cases).await;
}

#[tokio::test]
async fn an_oversized_or_invalid_response_fails_its_call_at_once() {
    let cases = [
        ("large", false, "its response has 100000082 bytes; the limit is 16777216"),
        ("utf8", false, "its response is not valid JSON"),
    ];
    each_fails_one_call(patient, &cases).await;
}

#[tokio::test]
async fn a_server_that_floods_its_output_is_restarted() {
    let noise = "without a message; the limit is 67108864";
    each_is_restarted(
        patient,
        &[("flood", noise, noise), ("endless", "without a line break", "without a line break")],
    )
    .await;
}

#[tokio::test]
async fn over_http_an_oversized_response_is_rejected_while_it_arrives() {
    let too_long = "its response exceeds the limit of 16777216 bytes";
    let cases = [
        ("large", false, too_long),
        ("endless", false, too_long),
        ("large-event", false, too_long),
        ("noise", false, "without a message; the limit is 67108864"),
    ];
    for case in cases {
        let server = Http::start(case.0);
        let settings = McpSettings {
            url: Some(format!("http://127.0.0.1:{}/mcp", server.port)),
            timeout_ms: Some(FOR_EVER),
            ..McpSettings::default()
        };
        each_fails_one_call(async |_: &str| connected(settings.clone()).await, &[case]).await;
    }
}

#[tokio::test]
async fn concurrent_calls_receive_their_own_progress() {
    each_call_receives_its_own_progress(patient).await;
}

/// A faulty server that is reached over HTTP.
struct Http {
    port: u16,
    child: Child,
}

impl Http {
    fn start(fault: &str) -> Self {
        let line = faulty("faulty_http.py", fault);
        let mut child = Command::new(&line[0]).args(&line[1..]).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { port: port.trim().parse().unwrap(), child }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_server_that_dies_is_restarted_and_its_tools_are_withdrawn_meanwhile() {
    each_is_restarted(
        bench,
        &[("exit", "", "it was too much for me"), ("mid-message", "", "the connection was lost")],
    )
    .await;
}

#[tokio::test]
async fn a_changed_tool_list_is_read_and_an_invalid_schema_skips_its_tool() {
    tool_lists_are_tracked(bench, &["wrong-schema"]).await;
}

#[tokio::test]
async fn an_unreachable_server_reports_the_reason() {
    for (settings, part) in [
        (json!({"command": ["/nowhere/server"]}), "cannot start `/nowhere/server`"),
        (json!({"command": ["python3", "-c", "import sys; sys.exit('no licence')"]}), "no licence"),
        (json!({"url": "http://127.0.0.1:9/mcp"}), "faulty"),
    ] {
        let settings: McpSettings = serde_json::from_value(settings).unwrap();
        let source = McpSource::open("faulty", settings, Path::new(".")).unwrap();
        assert!(!source.ready(PATIENCE).await);
        let notice = first_notice(&source).await;
        assert!(notice.contains(part), "{notice}");
        source.close().await;
    }
    let neither = McpSource::open("it", McpSettings::default(), Path::new("."));
    assert_eq!(neither.err().unwrap().to_string(), "the MCP server `it` needs either `command` or `url`");
}
