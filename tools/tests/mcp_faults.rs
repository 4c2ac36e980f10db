//! Servers of the Model Context Protocol that misbehave cost the call that met it, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Bench, PATIENCE, faulty, first_notice};
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
    for (fault, ok, part) in [
        ("hang", false, "did not answer within 2 s"),
        ("drip", true, "slowly"),
        ("noise", true, "done"),
        ("wrong-id", false, "did not answer within 2 s"),
        ("flood", false, "did not answer within 2 s"),
        ("utf8", false, "did not answer within 2 s"),
        ("large", false, "did not answer within 2 s"),
    ] {
        let bench = bench(fault).await;
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
        let bench = bench(fault).await;
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
    let changing = bench("change").await;
    assert!(changing.call("faulty_misbehave").await.ok);
    changing.until("faulty_late", true).await;
    changing.source.close().await;

    let wrong = bench("wrong-schema").await;
    let names: Vec<String> = wrong.toolbox.specs().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["faulty_behave"]);
    wrong.source.close().await;
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
