//! Plugins that misbehave cost the call that met it, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::common::{
    Bench, FOR_EVER, PATIENCE, each_call_hears_of_itself, each_costs_one_call, each_is_revived, faulty,
    first_notice, lists_are_followed,
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

/// Calls have so much time that one that only ends with it would be seen to hang.
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
async fn a_fault_costs_one_call_and_the_program_goes_on() {
    let cases = [
        ("hang", false, "did not answer within 2 s"),
        ("drip", true, "slowly"),
        ("noise", true, "done"),
        ("wrong-id", false, "did not answer within 2 s"),
        ("wrong-result", false, "the result is not a valid outcome"),
        ("error-object", false, "not today"),
        ("echo", true, "done"),
        ("null", true, ""),
    ];
    each_costs_one_call(bench, &cases).await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_no_json_is_said_to_be_at_once() {
    let cases = [
        ("large", false, "bytes; the limit is 16777216"),
        ("utf8", false, "its response is not valid: invalid"),
    ];
    each_costs_one_call(patient, &cases).await;
}

#[tokio::test]
async fn a_program_that_writes_for_ever_is_given_up_and_started_again() {
    let noise = "without a message; the limit is 67108864";
    each_is_revived(
        patient,
        &[("flood", noise, noise), ("endless", "without a line break", "without a line break")],
    )
    .await;
}

#[tokio::test]
async fn each_of_several_calls_hears_how_far_it_has_got_itself() {
    each_call_hears_of_itself(patient).await;
}

#[tokio::test]
async fn a_program_that_dies_is_started_again_and_its_tools_are_gone_meanwhile() {
    each_is_revived(
        bench,
        &[("exit", "it was too much for me", ""), ("mid-message", "the process ended", "")],
    )
    .await;
}

#[tokio::test]
async fn a_list_that_changes_in_mid_call_is_seen_and_a_tool_that_cannot_be_read_is_left_out() {
    lists_are_followed(bench, &["wrong-schema", "nameless"]).await;
}

#[tokio::test]
async fn a_program_that_is_none_says_why() {
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
async fn it_sees_only_the_variables_that_it_was_granted() {
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
