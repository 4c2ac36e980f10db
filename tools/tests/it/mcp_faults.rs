//! Servers of the Model Context Protocol that misbehave cost the call that met it, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::common::{
    Bench, FOR_EVER, PATIENCE, each_call_hears_of_itself, each_costs_one_call, each_is_revived, faulty,
    first_notice, lists_are_followed,
};
use serde_json::json;
use sojourn_tools::ToolSource as _;
use sojourn_tools::mcp::{McpSettings, McpSource};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

async fn bench(fault: &str) -> Bench {
    started(fault, 2000).await
}

/// Calls have so much time that one that only ends with it would be seen to hang.
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
async fn a_fault_costs_one_call_and_the_server_goes_on() {
    let cases = [
        ("hang", false, "did not answer within 2 s"),
        ("drip", true, "slowly"),
        ("noise", true, "done"),
        ("wrong-id", false, "did not answer within 2 s"),
    ];
    each_costs_one_call(bench, &cases).await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_no_json_is_said_to_be_at_once() {
    let cases = [
        ("large", false, "its response has 100000082 bytes; the limit is 16777216"),
        ("utf8", false, "its response is not valid JSON"),
    ];
    each_costs_one_call(patient, &cases).await;
}

#[tokio::test]
async fn a_server_that_writes_for_ever_is_given_up_and_started_again() {
    let noise = "without a message; the limit is 67108864";
    each_is_revived(
        patient,
        &[("flood", noise, noise), ("endless", "without a line break", "without a line break")],
    )
    .await;
}

#[tokio::test]
async fn over_http_an_answer_is_refused_while_it_arrives() {
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
        each_costs_one_call(async |_: &str| connected(settings.clone()).await, &[case]).await;
    }
}

#[tokio::test]
async fn each_of_several_calls_hears_how_far_it_has_got_itself() {
    each_call_hears_of_itself(patient).await;
}

/// A server that is reached over HTTP.
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
async fn a_server_that_dies_is_started_again_and_its_tools_are_gone_meanwhile() {
    each_is_revived(bench, &[("exit", "", "it was too much for me"), ("mid-message", "", "tried again")])
        .await;
}

#[tokio::test]
async fn a_list_that_changes_in_mid_call_is_seen_and_a_wrong_schema_leaves_its_tool_out() {
    lists_are_followed(bench, &["wrong-schema"]).await;
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
        let notice = first_notice(&source).await;
        assert!(notice.contains(part), "{notice}");
        source.close().await;
    }
    let neither = McpSource::open("it", McpSettings::default(), Path::new("."));
    assert_eq!(neither.err().unwrap().to_string(), "the MCP server `it` needs either `command` or `url`");
}
