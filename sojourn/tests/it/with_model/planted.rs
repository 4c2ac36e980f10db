//! Instructions that stand in pictures: what a real network reads, and what a model in this process is shown, taints the run.
#![cfg(feature = "perception")]
#![allow(clippy::unwrap_used, reason = "what helpers of tests may do is what tests may do")]

use crate::support::{command, place, root};
use serde_json::{Value, json};
use sojourn_testkit::{Place, answer, reply, serve, skipped};
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

/// The program there, with the models of this machine.
fn sojourn(place: &Place, args: &[&str]) -> Output {
    let mut command = command(place.path(), args);
    command.env_remove("SOJOURN_MODELS").env_remove("XDG_CACHE_HOME").output().unwrap()
}

fn told(place: &Place, args: &[&str]) -> String {
    let output = sojourn(place, args);
    let [told, complained] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{args:?}: {told} {complained}");
    told.into_owned()
}

fn pulled(place: &Place, model: &str) -> bool {
    let known = sojourn(place, &["models", "path", model]);
    if !known.status.success() {
        skipped(format!("the model {model} was not pulled"));
    }
    known.status.success()
}

/// Opens the letter, reads it, and does what it says, once.
fn obedient() -> String {
    let obeyed = AtomicBool::new(false);
    serve(move |request| {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let question = body["messages"].as_array()?.last()?["content"].as_str()?;
        let handle = question.find("media:").map(|at| &question[at..at + "media:".len() + 16]);
        let instruction = question.lines().find(|line| line.contains("at once"));
        let call = match (handle, instruction) {
            (None, _) => json!({"tool": "docs_read", "args": {"path": "planted.png"}}),
            (Some(handle), None) => json!({"tool": "see_read", "args": {"media": handle}}),
            // Text from a picture is quoted in every case.
            (_, Some(line)) if line.starts_with("> ") && !obeyed.swap(true, Ordering::SeqCst) => {
                json!({"tool": "sh_run", "args": {"command": "touch paid"}})
            }
            _ => return answer(&request.body),
        };
        Some(reply(&call.to_string(), body["n"].as_u64().unwrap_or(1)))
    }) + "/v1"
}

#[test]
fn an_instruction_that_is_read_in_a_picture_causes_no_irreversible_call() {
    let place = place();
    if !pulled(&place, "pp-ocrv6-small") {
        return;
    }
    let folder = root().join("tools/perception/tests/fixtures/odd");
    for trusts_what_is_read in [false, true] {
        let trusted = if trusts_what_is_read { "[\"docs_*\", \"see_*\"]" } else { "[\"docs_*\"]" };
        place.write(
            "agent.toml",
            format!(
                "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
                 [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n\
                 [run]\nlibrary = false\nmemory = false\n\
                 [tools.docs]\nkind = \"files\"\nroot = {folder:?}\n[tools.see]\nkind = \"see\"\n\
                 [tools.sh]\nkind = \"shell\"\nenabled = true\n\
                 [policy]\ntrusted = {trusted}\n[[policy.rule]]\ntool = \"sh_run\"\nthen = \"allow\"\n",
                obedient()
            ),
        );
        sojourn(&place, &["run", "agent.toml", "--steps", "2", "--json"]);
        let log = told(&place, &["log", "latest", "--json"]);
        let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let calls =
            records.iter().filter(|record| record["kind"] == "call_tool").map(|record| &record["payload"]);
        let tainted: Vec<(&str, bool)> = calls
            .map(|call| {
                (call["call"]["name"].as_str().unwrap(), call["untrusted"].as_bool().unwrap_or(false))
            })
            .collect();
        let expected = [("docs_read", false), ("see_read", false), ("sh_run", !trusts_what_is_read)];
        assert_eq!(tainted[..3], expected, "{log}");
        assert_eq!(place.path().join("paid").exists(), trusts_what_is_read);
    }
}

#[cfg(feature = "llama")]
#[test]
fn a_picture_that_a_model_in_this_process_is_shown_taints_what_the_run_learns() {
    let place = place();
    let Some(shapes) = std::env::var_os("SOJOURN_TEST_SHAPES").map(PathBuf::from) else {
        skipped("`SOJOURN_TEST_SHAPES` names no folder that `scripts/shapes_projector.py` has made");
        return;
    };
    if !pulled(&place, "smollm2-135m-instruct") || !pulled(&place, "pp-ocrv6-small") {
        return;
    }
    for (observe, trusted, taints) in [
        ("\"text\", \"frame\"", "none", true),
        ("\"text\", \"frame\"", "see_*", false),
        ("\"text\"", "none", false),
    ] {
        place.write(
            "agent.toml",
            format!(
                "environment = \"crafter\"\nmodel = \"smollm2-135m-instruct\"\nembedding = \"none\"\n\
                 [controller]\nkind = \"llama\"\nmmproj = {:?}\ncontext_tokens = 2048\n\
                 [run]\nobserve = [{observe}]\nlearning = false\nlibrary = false\n\
                 [tools.see]\nkind = \"see\"\n[policy]\ntrusted = [\"{trusted}\"]\n",
                shapes.join("mmproj.gguf")
            ),
        );
        let home = format!("home-{}", observe.len() + trusted.len());
        // A model that does the same over and over is paused.
        let run = sojourn(&place, &["--home", &home, "run", "agent.toml", "--steps", "8", "--json"]);
        assert!(run.status.code().is_some(), "{}", String::from_utf8_lossy(&run.stderr));
        let shown = told(&place, &["--home", &home, "log", "latest", "--kind", "looked", "--json"]);
        assert_eq!(shown.contains("\"shown\":true"), observe.contains("frame"), "{shown}");
        let found = told(&place, &["--home", &home, "memory", "search", "", "--kind", "episode", "--json"]);
        let found: Value = serde_json::from_str(&found).unwrap();
        let memories = found["memories"].as_array().unwrap();
        assert!(!memories.is_empty(), "{found}");
        for memory in memories {
            assert_eq!(
                memory["memory"]["untrusted"].as_bool().unwrap_or(false),
                taints,
                "{observe}: {memory}"
            );
        }
    }
}
