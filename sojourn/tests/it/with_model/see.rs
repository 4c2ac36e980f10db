//! A run whose agent reads a scanned picture by a real network.
#![cfg(feature = "perception")]
#![allow(clippy::unwrap_used, reason = "what helpers of tests may do is what tests may do")]

use serde_json::{Value, json};
use sojourn_testkit::{answer, reply, serve, skipped};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn scan() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/documents/scans/invoice-2041.png")
}

/// With the models of this machine, or with none.
fn sojourn(home: &Path, models: bool, args: &[&str]) -> Output {
    let mut command: Command = sojourn_testkit::command(env!("CARGO_BIN_EXE_sojourn"));
    command.current_dir(home).arg("--home").arg(home.join("home")).args(args);
    if !models {
        command.env("SOJOURN_MODELS", home.join("no-models"));
    }
    command.output().unwrap()
}

fn text(home: &Path, models: bool, args: &[&str]) -> String {
    let output = sojourn(home, models, args);
    let [told, complained] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{args:?}: {told} {complained}");
    told.into_owned()
}

/// Reads the picture, then looks at it, then acts.
fn model() -> String {
    serve(|request| {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let question = body["messages"].as_array()?.last()?["content"].as_str()?;
        let handle = question.find("media:").map(|at| &question[at..at + "media:".len() + 16]);
        let call = match handle {
            None => json!({"tool": "docs_read", "args": {"path": "invoice-2041.png"}}),
            Some(handle) if !question.contains("318.40") => {
                json!({"tool": "see_read", "args": {"media": handle}})
            }
            Some(_) => return answer(&request.body),
        };
        Some(reply(&call.to_string(), body["n"].as_u64().unwrap_or(1)))
    }) + "/v1"
}

#[test]
fn a_run_reads_a_picture_and_replays_without_the_model() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, there) = (here.path(), there.path());
    let read = sojourn(here, true, &["see", scan().to_str().unwrap(), "--read"]);
    if String::from_utf8_lossy(&read.stderr).contains("is not on this machine") {
        skipped("the model pp-ocrv6-small was not pulled");
        return;
    }
    assert!(String::from_utf8_lossy(&read.stdout).contains("Total: 318.40 EUR"));
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         [run]\nlibrary = false\nmemory = false\n\
         [tools.docs]\nkind = \"files\"\nroot = {:?}\n[tools.see]\nkind = \"see\"\n",
        model(),
        scan().parent().unwrap().to_str().unwrap()
    );
    std::fs::write(here.join("agent.toml"), agent).unwrap();
    let absent = sojourn(here, false, &["run", "agent.toml", "--steps", "1"]);
    let complaint = String::from_utf8_lossy(&absent.stderr);
    assert!(
        complaint.contains("tools.see: the model `pp-ocrv6-small` is not on this machine"),
        "{complaint}"
    );
    assert!(complaint.contains("sojourn models pull pp-ocrv6-small"), "{complaint}");

    text(here, true, &["run", "agent.toml", "--steps", "2", "--json"]);
    let log = text(here, false, &["log", "latest", "--kind", "tool_answered", "--json"]);
    let answers: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines = &answers[1]["payload"]["outcome"]["value"]["lines"];
    assert!(lines.as_array().unwrap().iter().any(|line| line["text"] == "Total: 318.40 EUR"), "{lines}");
    // The picture itself stands in no record.
    assert!(!log.contains("iVBORw0KGgo"), "{log}");
    let verdict: Value =
        serde_json::from_str(&text(here, false, &["replay", "latest", "--verify", "--json"])).unwrap();
    assert_eq!(verdict["matched"], true, "{verdict}");

    text(here, false, &["log", "export", "latest", "--out", "run.jsonl"]);
    text(there, false, &["log", "import", here.join("run.jsonl").to_str().unwrap()]);
    text(there, false, &["log", "verify", "latest"]);
    let media: Value =
        serde_json::from_str(&text(there, false, &["log", "media", "latest", "--json"])).unwrap();
    let [picture] = &media.as_array().unwrap()[..] else { panic!("{media}") };
    assert_eq!((&picture["source"], &picture["kept"]), (&json!("docs_read"), &json!(true)));
    text(there, false, &["log", "media", "latest", picture["handle"].as_str().unwrap(), "--out", "copy.png"]);
    assert_eq!(std::fs::read(there.join("copy.png")).unwrap(), std::fs::read(scan()).unwrap());
}

#[test]
fn a_picture_is_most_similar_to_itself() {
    let here = tempfile::tempdir().unwrap();
    let other = scan().with_file_name("letter.png");
    let similar = |other: &Path| {
        sojourn(here.path(), true, &["see", scan().to_str().unwrap(), "--similar", other.to_str().unwrap()])
    };
    let same = similar(&scan());
    if String::from_utf8_lossy(&same.stderr).contains("is not on this machine") {
        skipped("the model dinov2-small was not pulled");
        return;
    }
    let number = |output: &Output| String::from_utf8_lossy(&output.stdout).trim().parse::<f32>().unwrap();
    let (same, different) = (number(&same), number(&similar(&other)));
    assert!(same > 0.999 && different > 0.5 && different < 0.99, "{same} {different}");
}
