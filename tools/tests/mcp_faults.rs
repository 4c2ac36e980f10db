//! Servers of the Model Context Protocol that misbehave cost the call that met it, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use common::{
    Bench, PATIENCE, each_costs_one_call, each_is_revived, faulty, first_notice, lists_are_followed,
};
use serde_json::json;
use sojourn_tools::ToolSource as _;
use sojourn_tools::mcp::{McpSettings, McpSource};
use std::path::Path;
use std::sync::Arc;

async fn bench(fault: &str) -> Bench {
    let command = faulty("faulty_mcp.py", fault);
    let settings = McpSettings { command, timeout_ms: Some(2000), ..McpSettings::default() };
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
        ("flood", false, "did not answer within 2 s"),
        ("utf8", false, "did not answer within 2 s"),
        ("large", false, "did not answer within 2 s"),
    ];
    each_costs_one_call(bench, &cases).await;
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
