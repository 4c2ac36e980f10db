//! Logs from the command line, on the golden log: shown, checked, saved, carried, compared.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::golden::home;
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

fn sojourn(home: &Path, args: &[&str]) -> Output {
    sojourn_testkit::command(env!("CARGO_BIN_EXE_sojourn"))
        .arg("--home")
        .arg(home)
        .args(args)
        .output()
        .unwrap()
}

/// What is printed, of a command that succeeds.
fn text(home: &Path, args: &[&str]) -> String {
    let output = sojourn(home, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(home: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&text(home, args)).unwrap()
}

fn json_lines(home: &Path, args: &[&str]) -> Vec<Value> {
    text(home, args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn execute(home: &Path, sql: &'static str) {
    let url = format!("sqlite://{}", home.join("sojourn.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[test]
fn the_timeline_can_be_narrowed() {
    let home = home();
    let unknown = sojourn(home.path(), &["log", "latest", "--kind", "ask_controler"]);
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(
        told.contains("no kind of record named `ask_controler`; did you mean `ask_controller`?"),
        "{told}"
    );
    let all = json_lines(home.path(), &["log", "latest", "--json"]);
    let seqs = |args: &[&str]| -> Vec<u64> {
        json_lines(home.path(), args).iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    let milestone = |record: &&Value| record["payload"]["milestone"]["milestone"] == "skill_admitted";
    let admitted = all.iter().find(milestone).expect("a skill was learned");
    let skill = admitted["payload"]["milestone"]["skill"].as_str().unwrap();
    for filter in [&["--task", skill][..], &["--skill", skill]] {
        let narrowed = seqs(&[&["log", "latest", "--json"], filter].concat());
        assert!(narrowed.contains(&admitted["seq"].as_u64().unwrap()), "{filter:?}");
        assert!(narrowed.len() > 3 && narrowed.len() < all.len(), "{filter:?}: {} records", narrowed.len());
    }
    let failed: Vec<u64> = all
        .iter()
        .filter(|record| record["payload"]["outcome"]["ok"] == false)
        .map(|record| record["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs(&["log", "latest", "--errors", "--kind", "returned", "--json"]), failed);
    assert_eq!(seqs(&["log", "latest", "--from", "5", "--to", "7", "--json"]), [5, 6, 7]);
    // A run that is over does not keep its followers.
    assert_eq!(seqs(&["log", "latest", "--follow", "--json"]).len(), all.len());
}

#[test]
fn a_request_is_shown_with_its_answer_and_recalled_memories() {
    let home = home();
    let asked = json_lines(home.path(), &["log", "latest", "--kind", "ask_controller", "--json"]);
    let chosen = asked.iter().rfind(|record| record["payload"]["purpose"] == "choose");
    let last = chosen.unwrap()["seq"].as_u64().unwrap();
    for seq in [last, last + 1] {
        let shown = json(home.path(), &["log", "show", "latest", &seq.to_string(), "--json"]);
        let exchange = &shown["exchange"];
        assert_eq!((&exchange["asked"], &exchange["answered"]), (&last.into(), &(last + 1).into()));
        let told: u64 = exchange["reply"]["usage"]["prompt_tokens"].as_u64().unwrap();
        let parts = exchange["tokens_by_part"].as_array().unwrap();
        let shared: u64 = parts.iter().map(|part| part["tokens"].as_u64().unwrap()).sum();
        assert!(shared.abs_diff(told) <= parts.len() as u64, "{shared} of {told}");
        assert!(exchange["recalled"].is_array());
    }
    let told = text(home.path(), &["log", "show", "latest", &last.to_string()]);
    assert!(told.contains("── system") && told.contains("── answer 1"), "{told}");
}

#[tokio::test]
async fn a_damaged_run_is_found_and_its_beginning_saved() {
    let home = home();
    assert_eq!(json(home.path(), &["log", "verify", "--json"])["intact"], true);
    execute(home.path(), "UPDATE records SET at_ms = at_ms + 1 WHERE seq = 100").await;
    let checked = sojourn(home.path(), &["log", "verify", "--json"]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert!(!checked.status.success());
    assert_eq!(report["runs"][0]["first_fault"]["seq"], 100);

    let saved = json(home.path(), &["log", "recover", "latest", "--json"]);
    let (damaged, fork) = (saved["run"].as_str().unwrap(), saved["saved_as"].as_str().unwrap());
    assert_eq!(saved["saved_to"], 99);
    assert!(saved["not_saved"][0].as_str().unwrap().starts_with("100"), "{saved}");
    assert_eq!(json(home.path(), &["log", "verify", fork, "--json"])["intact"], true);
    assert_eq!(json_lines(home.path(), &["log", fork, "--kind", "forked", "--json"]).len(), 1);
    // The time between the recorded run and its fork is neither's.
    let runs = json(home.path(), &["runs", "--json"]);
    let ran = |id: &str| {
        let run = runs.as_array().unwrap().iter().find(|run| run["run"] == id).unwrap();
        run["seconds"].as_f64().unwrap()
    };
    assert!(ran(fork) > 0.0 && ran(fork) <= ran(damaged), "{runs}");
    // Nothing was taken from the damaged one.
    assert_eq!(json_lines(home.path(), &["log", damaged, "--kind", "started", "--json"]).len(), 1);
    assert_eq!(report["runs"][0]["run"], damaged);

    let elsewhere = tempfile::tempdir().unwrap();
    let place = elsewhere.path().join("rescue");
    let saved = json(home.path(), &["log", "recover", damaged, "--into", place.to_str().unwrap(), "--json"]);
    assert_eq!(saved["saved_as"], damaged);
    assert_eq!(json(&place, &["log", "verify", damaged, "--json"])["runs"][0]["records"], 99);
}

#[test]
fn a_run_is_carried_to_another_home() {
    let (here, there) = (home(), tempfile::tempdir().unwrap());
    let file = here.path().join("run.jsonl");
    let file = file.to_str().unwrap();
    text(here.path(), &["log", "export", "latest", "--out", file]);
    let there = there.path().join("home");
    let came = json(&there, &["log", "import", file, "--json"]);
    assert_eq!(text(&there, &["log", "latest", "--json"]), text(here.path(), &["log", "latest", "--json"]));
    let compared = json(&there, &["diff", "latest", came["run"].as_str().unwrap(), "--json"]);
    assert!(compared["first_difference"].is_null() && compared["same_start"] == true);

    let altered = std::fs::read_to_string(file).unwrap().replacen("move_left", "move_right", 1);
    std::fs::write(file, altered).unwrap();
    let empty = here.path().join("empty");
    let refused = sojourn(&empty, &["log", "import", file]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("line "), "{message}");
    assert_eq!(json(&empty, &["runs", "--json"]), serde_json::json!([]));
}

#[test]
fn conversations_are_well_formed_and_do_not_leak() {
    let home = home();
    let conversations = json_lines(home.path(), &["log", "export", "latest", "--format", "sft"]);
    assert!(conversations.iter().any(|one| one["kind"] == "skill"));
    assert!(conversations.iter().any(|one| one["kind"] == "task"));
    let mut split_of = std::collections::BTreeMap::new();
    for one in &conversations {
        let episode = one["provenance"]["episode"].as_u64().unwrap();
        let split = split_of.entry(episode).or_insert(&one["split"]);
        assert_eq!(*split, &one["split"], "episode {episode} is in two parts of the data");
        let mut open = None;
        for message in one["messages"].as_array().unwrap() {
            // A call is answered before anything else is said.
            match message["role"].as_str().unwrap() {
                "tool" => assert_eq!(open.take().as_ref(), Some(&message["tool_call_id"])),
                "assistant" => {
                    assert_eq!(open, None, "{one}");
                    open = message["tool_calls"].get(0).map(|call| call["id"].clone());
                }
                _ => assert_eq!(open, None),
            }
        }
        assert_eq!(open, None, "{one}");
        let tools: BTreeSet<&str> = one["tools"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|tool| tool["function"]["name"].as_str())
            .collect();
        for message in one["messages"].as_array().unwrap() {
            if let Some(name) = message["tool_calls"][0]["function"]["name"].as_str() {
                assert!(tools.contains(name), "`{name}` is not among the tools");
            }
        }
    }
}

#[test]
fn spans_make_one_tree() {
    let home = home();
    let trace = json(home.path(), &["log", "export", "latest", "--format", "otlp"]);
    let spans = trace["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    let ids: BTreeSet<&str> = spans.iter().map(|span| span["spanId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), spans.len());
    let roots = spans.iter().filter(|span| span.get("parentSpanId").is_none()).count();
    assert_eq!(roots, 1);
    for span in spans {
        if let Some(parent) = span.get("parentSpanId") {
            assert!(ids.contains(parent.as_str().unwrap()), "{span}");
        }
        let time = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
    }
    for operation in ["invoke_agent", "chat", "execute_tool"] {
        assert!(
            spans.iter().any(|span| span["name"].as_str().unwrap().starts_with(operation)),
            "{operation}"
        );
    }
}

#[test]
fn a_rebuild_derives_skills_and_memories_from_the_log() {
    let home = home();
    // The golden log is a database alone: its memories are in the same database, its library is not there.
    let output = sojourn(home.path(), &["replay", "latest", "--rebuild", "--json"]);
    let rebuilt: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(rebuilt["memories"].as_u64().unwrap() > 0 && rebuilt["skills"].as_u64().unwrap() > 0);
    let differences = rebuilt["differences"].as_array().unwrap();
    assert!(differences.iter().all(|one| one.as_str().unwrap().starts_with("skill")), "{rebuilt}");
    assert_eq!(differences.len() as u64, rebuilt["skills"].as_u64().unwrap());
}

#[test]
fn gc_keeps_every_run_that_is_needed() {
    let home = home();
    let garbage = json(home.path(), &["log", "gc", "--keep", "0", "--json"]);
    assert_eq!((&garbage["removed"], &garbage["garbage"]["blobs"]), (&false.into(), &0.into()), "{garbage}");
    assert_eq!(garbage["garbage"]["runs"].as_array().unwrap().len(), 0, "memories rest on it");
}

#[test]
fn the_story_begins_where_it_is_asked_to() {
    let home = home();
    let records = json(home.path(), &["runs", "--json"])[0]["records"].as_u64().unwrap();
    let whole = text(home.path(), &["replay", "latest"]);
    let end = text(home.path(), &["replay", "latest", "--at", &(records - 9).to_string(), "--speed", "1e9"]);
    assert!(whole.ends_with(&end) && whole.len() > end.len(), "{end}");
    let beyond = sojourn(home.path(), &["replay", "latest", "--at", &(records + 1).to_string()]);
    assert_eq!(beyond.status.code(), Some(3));
}

#[test]
fn lines_name_the_skill_and_the_cause() {
    let home = home();
    let log = |args: &[&str]| text(home.path(), &[&["log", "latest"], args].concat());
    let all = log(&[]);
    for said in [
        "collect_wood: 7 steps; unlocked collect_wood",
        "library: used collect_wood, done in 7 steps",
        "candidates verified in 0/3: ",
    ] {
        assert!(all.contains(said), "{said}");
    }
    // A reader who starts later knows as much, and one who reads a kind alone.
    let used = all.lines().find(|line| line.contains("library: used collect_wood")).unwrap();
    let seq = used.split_whitespace().next().unwrap();
    assert_eq!(log(&["--from", seq, "--to", seq]).trim_end(), used);
    assert!(log(&["--kind", "change_library"]).lines().any(|line| line == used));
}

#[test]
fn the_log_is_narrowed_to_outcomes() {
    let home = home();
    let count = |outcome: &str| {
        let kept =
            json_lines(home.path(), &["log", "latest", "--outcome", outcome, "--kind", "acted", "--json"]);
        for record in &kept {
            let report = &record["payload"]["report"];
            let verified = report["skills"].as_array().unwrap().last().map(|skill| skill["verified"] == true);
            match outcome {
                "done" => assert!(verified != Some(false) && report["error"].is_null(), "{report}"),
                "died" => assert_eq!(report["ended"]["kind"], "died"),
                _ => assert!(report["ended"]["kind"] != "died"),
            }
        }
        kept.len()
    };
    let acted = json_lines(home.path(), &["log", "latest", "--kind", "acted", "--json"]).len();
    assert!(count("done") > 0);
    assert_eq!(count("done") + count("failed") + count("died"), acted);
    let deaths = json_lines(home.path(), &["log", "latest", "--deaths", "--json"]);
    assert!(deaths.iter().all(|record| record["payload"]["ended"]["kind"] == "died"));
}

#[test]
fn tried_candidates_are_shown_by_their_cause() {
    let home = home();
    let tried = json_lines(home.path(), &["log", "latest", "--kind", "candidates_tried", "--json"]);
    let seq = tried[0]["seq"].to_string();
    let told = text(home.path(), &["log", "show", "latest", &seq]);
    let body = told.split_once("\n\n").unwrap().1;
    insta::assert_snapshot!(body);
    let full = text(home.path(), &["log", "show", "latest", &seq, "--full"]);
    assert!(full.contains("0061736d") && full.len() > told.len());
}

#[test]
fn runs_say_what_came_of_them() {
    let home = home();
    insta::assert_snapshot!(text(home.path(), &["runs"]));
    let runs = json(home.path(), &["runs", "--json"]);
    assert!(runs[0]["skills"].as_array().unwrap().contains(&"collect_wood".into()), "{runs}");
}
