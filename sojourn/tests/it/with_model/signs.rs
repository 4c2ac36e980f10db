//! An agent that learns to go by signs, which nothing but a picture shows.
#![cfg(feature = "perception")]
#![allow(clippy::unwrap_used, reason = "what helpers of tests may do is what tests may do")]

use serde_json::Value;
use sojourn_testkit::{command, has, skipped};
use std::path::{Path, PathBuf};
use std::process::Output;

fn agent() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worlds/signs.toml")
}

/// With the models of this machine, or with none.
fn sojourn(home: &Path, models: bool, args: &[&str]) -> Output {
    let mut command = command(env!("CARGO_BIN_EXE_sojourn"));
    command.current_dir(home).arg("--home").arg(home.join("home")).args(args);
    if !models {
        command.env("SOJOURN_MODELS", home.join("no-models"));
    }
    command.output().unwrap()
}

fn document(home: &Path, models: bool, args: &[&str]) -> Value {
    let output = sojourn(home, models, args);
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {complained}"))
}

#[test]
fn a_program_is_learned_that_goes_by_what_is_seen() {
    if !has("python3") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let path = agent();
    let run =
        ["run", path.to_str().unwrap(), "--steps", "60", "--set", "run.uneventful_episodes=0", "--json"];
    let first = sojourn(home, true, &run);
    if String::from_utf8_lossy(&first.stderr).contains("is not on this machine") {
        skipped("the model pp-ocrv6-small was not pulled");
        return;
    }
    let result: Value = serde_json::from_slice(&first.stdout).unwrap();
    let skill = &result["skills"][0];
    assert!(skill["successes"].as_u64() > Some(10) && skill["uses"] == skill["successes"], "{result}");
    // What was seen is in the log: neither the pictures nor the networks are needed.
    assert_eq!(document(home, false, &["replay", "latest", "--verify", "--json"])["matched"], true);
    let source = sojourn(home, false, &["skills", "show", "succeed"]);
    assert!(String::from_utf8_lossy(&source.stdout).contains("\"seen\""));
}
