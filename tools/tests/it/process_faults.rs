//! Faulty plugins fail the affected call and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::common::{
    Bench, FOR_EVER, PATIENCE, each_call_receives_its_own_progress, each_fails_one_call, each_is_restarted,
    faulty, first_notice, tool_lists_are_tracked,
};
use sojourn_tools::ToolSource as _;
use sojourn_tools::process::{ProcessSettings, ProcessSource};
use std::path::Path;
use std::sync::Arc;

fn settings(command: Vec<String>) -> ProcessSettings {
    ProcessSettings { command, env: Vec::new(), effects: [].into(), timeout_ms: None }
}

async fn bench(fault: &str) -> Bench {
    started(settings(faulty("faulty_process.py", fault))).await
}

/// A bench with a long time limit, so that a call which ends only by timeout makes the test fail.
async fn patient(fault: &str) -> Bench {
    let settings = settings(faulty("faulty_process.py", fault));
    started(ProcessSettings { timeout_ms: Some(FOR_EVER), ..settings }).await
}

async fn started(settings: ProcessSettings) -> Bench {
    let source = Arc::new(ProcessSource::open("faulty", settings, Path::new(".")).unwrap());
    assert!(source.ready(PATIENCE).await, "{:?}", source.notices());
    Bench::new(source)
}

#[tokio::test]
async fn a_fault_fails_one_call_and_the_process_keeps_running() {
    let cases = [
        ("hang", false, "did not answer within 10 s"),
        ("drip", true, "slowly"),
        ("noise", true, "done"),
        ("wrong-id", false, "did not answer within 10 s"),
        ("wrong-result", false, "the result is not a valid outcome"),
        ("error-object", false, "not today"),
        ("echo", true, "done"),
        ("null", true, ""),
    ];
    each_fails_one_call(bench, &cases).await;
}

#[tokio::test]
async fn an_oversized_or_invalid_response_fails_its_call_at_once() {
    let cases = [
        ("large", false, "bytes; the limit is 16777216"),
        ("utf8", false, "its response is not valid: invalid"),
    ];
    each_fails_one_call(patient, &cases).await;
}

#[tokio::test]
async fn a_process_that_floods_its_output_is_restarted() {
    let noise = "without a message; the limit is 67108864";
    each_is_restarted(
        patient,
        &[("flood", noise, noise), ("endless", "without a line break", "without a line break")],
    )
    .await;
}

#[tokio::test]
async fn concurrent_calls_receive_their_own_progress() {
    each_call_receives_its_own_progress(patient).await;
}

#[tokio::test]
async fn a_process_that_dies_is_restarted_and_its_tools_are_withdrawn_meanwhile() {
    each_is_restarted(
        bench,
        &[("exit", "it was too much for me", ""), ("mid-message", "the process ended", "")],
    )
    .await;
}

#[tokio::test]
async fn a_changed_tool_list_is_read_and_an_invalid_tool_is_skipped() {
    tool_lists_are_tracked(bench, &["wrong-schema", "nameless"]).await;
}

#[tokio::test]
async fn an_unusable_program_reports_the_reason() {
    for (command, part) in [
        (vec!["/nowhere/plugin"], "cannot start"),
        (vec!["python3", "-c", "import sys; sys.exit('no licence')"], "no licence"),
        (vec!["python3", "-c", "input(); print('{\"id\": 1, \"result\": {\"tools\": 7}}')"], "is not valid"),
    ] {
        let command = command.into_iter().map(str::to_owned).collect();
        let source = ProcessSource::open("faulty", settings(command), Path::new(".")).unwrap();
        assert!(!source.ready(PATIENCE).await);
        let notice = first_notice(&source).await;
        assert!(notice.contains(part), "{notice}");
        source.close().await;
    }
}

#[tokio::test]
async fn a_process_sees_only_granted_environment_variables() {
    let tells = "import json, os, sys
for line in sys.stdin:
    ask = json.loads(line)
    told = {'tools': [{'name': 'env', 'effects': {}}]} if ask['method'] == 'describe' else sorted(os.environ)
    print(json.dumps({'id': ask['id'], 'result': told}), flush=True)";
    let command = ["python3", "-c", tells].map(str::to_owned).to_vec();
    let granted = ProcessSettings { env: vec!["CARGO_PKG_NAME".into()], ..settings(command) };
    let source = Arc::new(ProcessSource::open("p", granted, Path::new(".")).unwrap());
    assert!(source.ready(PATIENCE).await);
    let seen = Bench::new(source).call("p_env").await.value.unwrap();
    let seen: Vec<&str> = seen.as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
    assert!(seen.contains(&"CARGO_PKG_NAME") && seen.contains(&"PATH"), "{seen:?}");
    assert!(!seen.contains(&"CARGO_MANIFEST_DIR"), "{seen:?}");
}
