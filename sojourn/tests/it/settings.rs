//! Settings of an agent file that change how skills are written and run: they are recorded, and a replay keeps to them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::support::{endpoint, sojourn};
use serde_json::{Value, json};
use std::path::Path;

/// Lives a short run with these settings; gives its id and its records.
fn live(place: &Path, settings: &str) -> (String, Vec<Value>) {
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n{settings}",
        endpoint()
    );
    std::fs::write(place.join("agent.toml"), agent).unwrap();
    let run = ["run", "agent.toml", "--steps", "8", "--time", "3m", "--seed", "1", "--json"];
    let output = sojourn(place, &run);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = result["run"].as_str().unwrap().to_owned();
    let log = sojourn(place, &["log", &id, "--json"]);
    let lines = String::from_utf8(log.stdout).unwrap();
    (id, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Replays a run; the verdict must be that it happened again as recorded.
fn verify(place: &Path, run: &str) {
    let output = sojourn(place, &["replay", run, "--verify", "--json"]);
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["matched"], true, "{verdict}");
}

#[test]
fn a_larger_model_may_write_any_javascript() {
    let dir = tempfile::tempdir().unwrap();
    let (run, records) = live(dir.path(), "[run.actor]\nlanguage = \"javascript\"\n");
    assert_eq!(records[0]["payload"]["config"]["actor"]["language"], "javascript");
    let shown = sojourn(dir.path(), &["skills", "show", "collect_wood"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("function collect_wood"), "it was not learned");
    let wrote = records.iter().find(|record| record["payload"]["purpose"] == json!("write")).unwrap();
    let prompt = sojourn(dir.path(), &["log", "show", &run, &wrote["seq"].to_string()]);
    let prompt = String::from_utf8_lossy(&prompt.stdout).into_owned();
    assert!(prompt.contains("Write plain JavaScript"), "{prompt}");
    verify(dir.path(), &run);
}

#[test]
fn a_skill_that_exceeds_the_limits_of_the_agent_file_is_not_admitted() {
    let dir = tempfile::tempdir().unwrap();
    // Enough for nothing: the same program is admitted without the limit.
    let (run, records) = live(
        dir.path(),
        "[run]\ntasks = [\"collect_wood\"]\n[run.actor]\nrounds = 1\n[run.budgets]\ntool_calls = 5\ntokens = 400\n[limits]\nhost_calls = 1\n[limits.reflex]\nfuel = 7_000_000\n",
    );
    let actor = &records[0]["payload"]["config"]["actor"];
    assert_eq!(
        (&actor["limits"]["host_calls"], &actor["reflex_limits"]["fuel"]),
        (&json!(1), &json!(7_000_000))
    );
    let skills = sojourn(dir.path(), &["skills", "list", "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&skills.stdout).unwrap(), json!([]));
    let tried = records.iter().find(|record| record["kind"] == "candidates_tried").unwrap();
    let errors: Vec<&str> = tried["payload"]["trials"][0]["report"]["worlds"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|world| world["error"].as_str())
        .collect();
    assert!(
        !errors.is_empty() && errors.iter().all(|error| error.contains("asked the host more than 1 times")),
        "{errors:?}"
    );
    verify(dir.path(), &run);
}
