//! An agent's life from its first step to its replay, through the program, with a model behind a chat endpoint.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::support::{command, endpoint, sojourn};
use serde_json::{Value, json};
use sojourn_testkit::serve;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a command that must succeed prints.
fn text(place: &Path, args: &[&str]) -> String {
    let output = sojourn(place, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn document(place: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&text(place, args)).unwrap()
}

#[test]
fn a_run_is_carried_out_listed_shown_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        endpoint()
    );
    std::fs::write(place.join("agent.toml"), agent).unwrap();

    // It learns to collect wood, and goes on until its steps are used up.
    let result =
        document(place, &["run", "agent.toml", "--steps", "60", "--time", "3m", "--seed", "1", "--json"]);
    assert_eq!(result["totals"]["steps"], 60);
    assert!(result["achievements"]["collect_wood"]["step"].as_u64().is_some(), "{result}");
    assert_eq!(result["skills"][0]["name"], "collect_wood");
    let run = result["run"].as_str().unwrap();

    // It is listed, and its log can be read to the last record.
    let runs = document(place, &["runs", "--json"]);
    assert_eq!((&runs[0]["run"], &runs[0]["status"]), (&result["run"], &json!("finished")));
    let records = runs[0]["records"].as_u64().unwrap();
    let lines = text(place, &["log", run, "--json"]);
    assert_eq!(lines.lines().count() as u64, records);
    assert_eq!(text(place, &["log", run]).lines().count() as u64, records);
    assert_eq!(text(place, &["log", run, "--kind", "finish"]).lines().count(), 1);

    // A prompt is shown as it was asked.
    let think = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|r| r["kind"] == "ask_controller")
        .unwrap();
    let shown = text(place, &["log", "show", run, &think["seq"].to_string()]);
    assert!(
        shown.contains("── system: ") && shown.contains("── user: ") && !shown.contains("$blob"),
        "{shown}"
    );

    // It happens again exactly as it was recorded.
    let verdict = document(place, &["replay", run, "--verify", "--json"]);
    assert_eq!(
        (&verdict["matched"], verdict["records"].as_u64()),
        (&json!(true), Some(records)),
        "{verdict}"
    );
    assert!(text(place, &["replay", run]).contains("learned collect_wood"));

    // What it learned can be looked at, tried and found again.
    assert!(text(place, &["skills", "show", "collect_wood"]).contains("function collect_wood"));
    let tried =
        document(place, &["skills", "run", "collect_wood", "--args", "{\"n\": 1}", "--seed", "5", "--json"]);
    assert_eq!(tried["result"]["verified"], true, "{tried}");
    let found = document(place, &["memory", "search", "collect_wood", "--json"]);
    assert!(!found["memories"].as_array().unwrap().is_empty());

    // A finished run is not resumed, but it is said how to give it more.
    let refused = sojourn(place, &["run", "agent.toml", "--resume", run]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("is finished (the step budget is used up): there is nothing to resume")
            && said.contains(&format!("`sojourn run agent.toml --resume {run} --steps 500`")),
        "{said}"
    );
    let none = sojourn(place, &["run", "agent.toml", "--resume"]);
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(
        said.contains("no interrupted run") && said.contains(&format!("--resume {run} --steps 500`")),
        "{said}"
    );

    // With more of any budget it goes on, also without its name.
    let more = sojourn(place, &["run", "agent.toml", "--resume", "--set", "run.budgets.steps=7", "--json"]);
    let result: Value = serde_json::from_slice(&more.stdout).unwrap();
    assert_eq!((&result["run"], &result["totals"]["steps"]), (&json!(run), &json!(67)), "{result}");
    let said = String::from_utf8_lossy(&more.stderr).into_owned();
    assert!(
        said.contains("the step budget is used up; give the run more with `")
            && said.contains(&format!("sojourn run agent.toml --resume {run} --steps 500`")),
        "{said}"
    );

    // Without deliberation and writing a run does what it learned, and needs no model: none is here.
    std::fs::write(
        place.join("skills.toml"),
        "environment = \"crafter\"\nembedding = \"none\"\n[run]\ndeliberate = false\nlearning = false\n",
    )
    .unwrap();
    let skilled = command(place, &["run", "skills.toml", "--steps", "20", "--seed", "1", "--json"])
        .env("SOJOURN_MODELS", place.join("no-models"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&skilled.stderr).into_owned();
    assert!(skilled.status.success() && !said.contains("loading the model"), "{said}");
    let result: Value = serde_json::from_slice(&skilled.stdout).unwrap();
    assert_eq!(result["totals"]["steps"], 20, "{result}");
}

#[test]
fn a_model_that_cannot_be_reached_ends_the_run_with_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let agent = "environment = \"crafter\"\nmodel = \"m\"\nembedding = \"none\"\n\
                 [controller]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n";
    std::fs::write(dir.path().join("agent.toml"), agent).unwrap();
    let output = sojourn(dir.path(), &["run", "agent.toml", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(result["outcome"].as_str().unwrap().contains("cannot reach"), "{result}");
}

/// A run with one task against a server without any constraint that refuses the first `refusals` requests for a program, and answers
/// every other request in prose. Returns the place and the run's result.
fn with_a_refusing_server(refusals: usize) -> (tempfile::TempDir, Value) {
    let asked = AtomicUsize::new(0);
    let address = serve(move |request| {
        let request: Value = serde_json::from_slice(&request.body).ok()?;
        assert!(!request["messages"].to_string().contains("start: "), "a grammar was sent: {request}");
        let question = request["messages"].as_array()?.last()?["content"].as_str()?;
        let message = match question.split_once("It begins with:\n") {
            Some(_) if asked.fetch_add(1, Ordering::Relaxed) < refusals => {
                json!({"content": null, "refusal": "I do not write programs."})
            }
            Some((_, head)) => json!({"content": format!(
                "```js\n{head}\nconst most = observe().inventory.wood + n; // don't stop early\n\
                 while (observe().inventory.wood < most) {{\nif (go_to('tree')) interact(); else explore(10);\n}}\n}}\n```\nThat is all."
            )}),
            None => json!({"content": "I would rather not say."}),
        };
        let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
        Some(json!({"choices": choices}).to_string())
    });
    let dir = tempfile::tempdir().unwrap();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"chat\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{address}/v1\"\n\
         [run]\ntasks = [\"collect_wood\"]\n[run.actor]\nrounds = 3\ncandidates = 1\n"
    );
    std::fs::write(dir.path().join("agent.toml"), agent).unwrap();
    let output = sojourn(dir.path(), &["run", "agent.toml", "--steps", "8", "--seed", "1", "--json"]);
    let result = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (dir, result)
}

#[test]
fn a_refused_answer_fails_an_attempt_and_not_the_run() {
    // All attempts of the first round, and one of the second.
    let (dir, result) = with_a_refusing_server(4);
    assert_eq!(result["totals"]["steps"], 8, "{result}");
    assert_eq!(result["skills"][0]["name"], "collect_wood", "{result}");
    let log = text(dir.path(), &["log", "latest"]);
    assert!(log.contains("no usable answer: the model refused to answer: I do not write programs."), "{log}");
    let verdict = document(dir.path(), &["replay", "latest", "--verify", "--json"]);
    assert_eq!(verdict["matched"], true, "{verdict}");
}

#[test]
fn a_server_that_only_refuses_ends_the_run_after_many_attempts() {
    let (dir, result) = with_a_refusing_server(usize::MAX);
    let outcome = result["outcome"].as_str().unwrap();
    assert!(outcome.contains("requests in a row had no usable answer"), "{outcome}");
    let log = text(dir.path(), &["log", "latest"]);
    assert!(log.matches("no usable answer").count() > 10, "{log}");
}

#[test]
fn a_run_is_drawn_as_one_picture() {
    let (dir, _) = with_a_refusing_server(0);
    text(dir.path(), &["replay", "latest", "--svg", "run.svg"]);
    let svg = std::fs::read_to_string(dir.path().join("run.svg")).unwrap();
    for part in [
        "episode 1 · world ",
        " steps · 1 achievement · ",
        "unlocked: collect_wood",
        "learned: collect_wood",
        "<title>collect_wood",
    ] {
        assert!(svg.contains(part), "no {part}: {svg}");
    }
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
}
