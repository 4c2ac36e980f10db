//! Servers that keep to the protocol in part: what can be used of them is used, and what cannot is named.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::common::{FOR_EVER, PATIENCE, faulty, first_notice, raw_server};
use serde_json::{Value, json};
use sojourn_tools::mcp::{McpSettings, McpSource};
use sojourn_tools::{CallContext, CallLimits, Effects, ToolCall, ToolOutcome, ToolSource as _, Toolbox};
use std::path::Path;
use std::sync::Arc;

/// A connected server with this oddity, and what was said of it.
async fn odd(oddity: &str) -> (Toolbox, Vec<String>) {
    let command = faulty("odd_mcp.py", oddity);
    let settings = McpSettings { command, timeout_ms: Some(FOR_EVER), ..McpSettings::default() };
    let source = Arc::new(McpSource::open("x", settings, Path::new(".")).unwrap());
    assert!(source.ready(PATIENCE).await, "{oddity}: {:?}", source.notices());
    let toolbox = Toolbox::new(vec![source], CallLimits::default());
    let notices = toolbox.refresh().notices;
    (toolbox, notices)
}

async fn call(toolbox: &Toolbox, name: &str, args: Value) -> ToolOutcome {
    let Value::Object(args) = args else { panic!("not an object") };
    match toolbox.validate(&ToolCall { name: name.into(), args }) {
        Ok(ready) => ready.run(CallContext::default()).await,
        Err(refusal) => ToolOutcome::failed(refusal.to_string()),
    }
}

fn names(toolbox: &Toolbox) -> Vec<String> {
    toolbox.specs().into_iter().map(|spec| spec.name).collect()
}

fn says(notices: &[String], part: &str) {
    assert!(notices.iter().any(|notice| notice.contains(part)), "{part}: {notices:?}");
}

#[tokio::test]
async fn a_list_of_tools_without_an_end_is_cut_and_said_so() {
    let (toolbox, notices) = odd("endless").await;
    let count = names(&toolbox).len();
    assert!((300..500).contains(&count), "{count} tools of 10 KB each fit into the limit of 4 MiB");
    says(&notices, "its list of tools is cut after");
    assert!(call(&toolbox, "x_t1_0", json!({})).await.ok);
    let (toolbox, notices) = odd("same-cursor").await;
    assert_eq!(names(&toolbox).len(), 4);
    says(&notices, "names the same next page again");
    let listed = call(&toolbox, "x_list_resources", json!({})).await;
    assert!(listed.ok && listed.message.contains("the same next page"), "{listed:?}");
}

#[tokio::test]
async fn what_a_server_reads_for_the_model_is_not_believed_to_only_read() {
    let reads = Effects { network: true, idempotent: true, ..Effects::default() };
    let declared = Effects { write: true, ..Effects::default() };
    for (trust_annotations, effects, expected) in [
        (false, None, Effects::WORST),
        (true, None, reads),
        (false, Some(declared), declared),
        (true, Some(declared), declared),
    ] {
        let effects = effects.map(|effects| ("read_resource".to_owned(), effects)).into_iter().collect();
        let command = faulty("odd_mcp.py", "prompts");
        let settings = McpSettings {
            command,
            effects,
            trust_annotations,
            timeout_ms: Some(FOR_EVER),
            ..McpSettings::default()
        };
        let source = Arc::new(McpSource::open("x", settings, Path::new(".")).unwrap());
        assert!(source.ready(PATIENCE).await, "{:?}", source.notices());
        let toolbox = Toolbox::new(vec![source], CallLimits::default());
        toolbox.refresh();
        let of = |name: &str| toolbox.specs().into_iter().find(|spec| spec.name == name).unwrap().effects;
        assert_eq!(of("x_read_resource"), expected, "{trust_annotations}");
        assert!(of("x_list_resources").changes_nothing(), "the model says nothing in it");
    }
}

#[tokio::test]
async fn prompts_that_cannot_be_listed_take_no_tools_away() {
    let (toolbox, notices) = odd("prompts").await;
    assert_eq!(names(&toolbox), ["x_good", "x_list_resources", "x_read_resource", "x_update"]);
    says(&notices, "left out: its prompts, which could not be listed: no such method");
    let (toolbox, notices) = odd("no-tools").await;
    assert_eq!(names(&toolbox), ["x_list_resources", "x_read_resource"]);
    says(&notices, "left out: its tools, which could not be listed");
}

#[tokio::test]
async fn a_tool_without_a_schema_takes_no_other_away() {
    let (toolbox, notices) = odd("schemaless").await;
    assert!(call(&toolbox, "x_good", json!({})).await.ok);
    for bad in ["`bad`", "`worse`"] {
        says(&notices, bad);
    }
}

#[tokio::test]
async fn names_that_would_become_one_call_their_own_tool() {
    let (toolbox, _) = odd("names").await;
    let mut called = Vec::new();
    for name in names(&toolbox) {
        if !name.contains("resource") {
            called.push(call(&toolbox, &name, json!({})).await.to_text());
        }
    }
    called.sort();
    assert_eq!(called, ["file-read {}", "file.read {}", "file_read {}"]);
    assert_eq!(call(&toolbox, "x_file_read", json!({})).await.to_text(), "file_read {}");
    // A tool of the server keeps its name before an operation of the protocol.
    assert_eq!(call(&toolbox, "x_list_resources", json!({})).await.to_text(), "list_resources {}");
    assert!(call(&toolbox, "x_resources_list", json!({})).await.to_text().contains("x://1"));
}

#[tokio::test]
async fn annotations_count_only_where_the_agent_file_trusts_them() {
    for trust_annotations in [false, true] {
        let command = faulty("odd_mcp.py", "schemas");
        let settings =
            McpSettings { command, trust_annotations, timeout_ms: Some(FOR_EVER), ..McpSettings::default() };
        let source = Arc::new(McpSource::open("x", settings, Path::new(".")).unwrap());
        assert!(source.ready(PATIENCE).await, "{:?}", source.notices());
        let tools = source.tools();
        assert!(!tools.is_empty());
        for spec in tools.iter().map(|tool| tool.spec()) {
            assert!(spec.untrusted, "{}", spec.name);
            assert_eq!(spec.effects.changes_nothing(), trust_annotations, "{}", spec.name);
            assert_eq!(spec.effects == Effects::WORST, !trust_annotations, "{}", spec.name);
        }
    }
}

#[tokio::test]
async fn a_null_that_the_schema_allows_reaches_the_server() {
    let (toolbox, _) = odd("null").await;
    for (args, seen) in [
        (json!({"id": 7, "assignee": null}), r#"{"assignee": null, "id": 7}"#),
        (json!({"id": 7}), r#"{"id": 7}"#),
        (json!({"id": 7, "assignee": null, "title": null}), r#"{"assignee": null, "id": 7}"#),
    ] {
        let outcome = call(&toolbox, "x_update", args).await;
        assert_eq!(outcome.to_text(), format!("update {seen}"));
    }
}

#[tokio::test]
async fn schemas_of_other_drafts_leave_their_tools_usable() {
    let (toolbox, notices) = odd("schemas").await;
    assert_eq!(names(&toolbox).len(), 8, "{notices:?}");
    for (name, args, ok) in [
        ("x_draft4", json!({"ttl": 5}), true),
        ("x_draft4", json!({"ttl": 0}), false),
        ("x_own", json!({"a": "b"}), true),
        ("x_empty", json!({}), true),
        ("x_remote", json!({"x": 1}), true),
        ("x_lost", json!({"a": 1}), true),
        ("x_nullable", json!({"a": null}), true),
        ("x_default_bad", json!({}), true),
        ("x_lookahead", json!({"a": "ab1"}), true),
        ("x_lookahead", json!({"a": "ab"}), false),
    ] {
        let outcome = call(&toolbox, name, args).await;
        assert_eq!(outcome.ok, ok, "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_part_of_an_unknown_kind_loses_no_text_and_data_alone_is_shown() {
    let (toolbox, _) = odd("parts").await;
    let outcome = call(&toolbox, "x_good", json!({})).await;
    let text = outcome.to_text();
    assert!(outcome.ok && text.contains("kept") && text.contains("unknown type `widget`"), "{text}");
    assert!(text.contains("left out: a part of its content of the type `image`"), "{text}");
    let (toolbox, _) = odd("data-alone").await;
    assert!(call(&toolbox, "x_good", json!({})).await.to_text().contains("4711"));
}

/// URL of a server that answers every request with `status`, `headers` and `body`.
fn server(status: &'static str, headers: &'static str, body: &'static str) -> String {
    let address = raw_server(move |_| {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-type: application/json\r\ncontent-length: {length}"
        );
        format!("{head}\r\nconnection: close\r\n\r\n{body}").into_bytes()
    });
    format!("http://{address}/mcp")
}

#[tokio::test]
async fn an_http_error_is_told_at_once_and_in_words() {
    let null_id = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"the licence is over"}}"#;
    for (status, headers, body, part) in [
        ("400 Bad Request", "", null_id, "the licence is over"),
        ("200 OK", "", null_id, "the licence is over"),
        (
            "401 Unauthorized",
            "www-authenticate: Bearer\r\n",
            "",
            "it demands a sign-in (HTTP 401); set `oauth = {}`",
        ),
        ("401 Unauthorized", "", "", "it demands a sign-in (HTTP 401); set `oauth = {}`"),
        ("403 Forbidden", "", "not you", "403"),
        ("500 Internal Server Error", "", "oops", "500"),
    ] {
        let settings = McpSettings { url: Some(server(status, headers, body)), ..McpSettings::default() };
        let source = McpSource::open("x", settings, Path::new(".")).unwrap();
        assert!(!source.ready(PATIENCE).await);
        let notice = first_notice(&source).await;
        assert!(notice.contains(part) && !notice.contains("rmcp::"), "{status}: {notice}");
        assert!(!notice.contains("did not complete the handshake"), "{status}: {notice}");
        source.close().await;
    }
}
