//! A larger model writes what the agent's own one gives up on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{endpoint, sojourn};
use serde_json::{Value, json};
use sojourn_testkit::{answer, serve};
use std::path::Path;

/// A model that can choose, but writes only programs that do nothing.
fn idle() -> String {
    serve(|request| {
        let text = answer(&request.body)?;
        let mut reply: Value = serde_json::from_str(&text).ok()?;
        for choice in reply["choices"].as_array_mut()? {
            let content = choice["message"]["content"].as_str()?.to_owned();
            if let Some((head, _)) = content.split_once("{\n") {
                choice["message"]["content"] = format!("{head}{{\n  noop(1);\n}}\n```").into();
            }
        }
        Some(reply.to_string())
    }) + "/v1"
}

fn document(place: &Path, args: &[&str]) -> Value {
    let output = sojourn(place, args);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// Lives a short run, `time` at most; `more` is the end of the agent file.
fn live(place: &Path, more: &str, time: &str) -> Value {
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"small\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         [run]\nseed = 1\ntasks = [\"collect_wood\"]\nmemory = false\n{more}",
        idle()
    );
    std::fs::write(place.join("agent.toml"), agent).unwrap();
    document(place, &["run", "agent.toml", "--steps", "8", "--time", time, "--json"])
}

#[test]
fn what_the_model_gives_up_on_the_teacher_writes_and_the_library_says_who() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    assert_eq!(live(place, "", "8s")["skills"], json!([]), "the model could do it alone");

    let teacher = format!(
        "[run.teacher]\nmodel = \"large\"\n[teacher]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         price = {{ prompt = 1.0, completion = 10.0 }}\n",
        endpoint()
    );
    let result = live(place, &teacher, "5m");
    assert_eq!(result["skills"][0]["name"], "collect_wood", "{result}");
    let totals = &result["totals"];
    assert_eq!((&totals["teacher_requests"], &totals["taught"]), (&json!(1), &json!(1)), "{totals}");
    // 100 tokens of the prompt and 20 of the answer; the small model is free.
    assert_eq!(totals["cost"], json!(0.0003));
    let skill = document(place, &["skills", "show", "collect_wood", "--json"]);
    assert_eq!(skill.pointer("/manifest/origin/model/model"), Some(&json!("large")), "{skill}");
    assert_eq!(document(place, &["replay", "latest", "--verify", "--json"])["matched"], true);
    let log = sojourn(place, &["log", "latest"]);
    assert!(String::from_utf8_lossy(&log.stdout).contains("(teacher): a prompt of"));

    // The student runs alone afterwards.
    let result = live(place, "", "5m");
    assert_eq!(
        (&result["totals"]["teacher_requests"], &result["achievements"]["collect_wood"].is_object()),
        (&Value::Null, &true),
        "{result}"
    );
}

#[test]
fn half_a_teacher_is_an_error_that_names_the_missing_half() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    for (more, expected) in [
        ("[teacher]\nkind = \"openai\"\n", "add [run.teacher] with model"),
        ("[run.teacher]\nmodel = \"large\"\n[teacher]\nkind = \"openai\"\n", "of the teacher"),
    ] {
        let agent = format!("environment = \"crafter\"\nembedding = \"none\"\n{more}");
        std::fs::write(place.join("agent.toml"), agent).unwrap();
        let output = sojourn(place, &["run", "agent.toml", "--steps", "1"]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complaint.contains(expected), "{complaint}");
    }
}
