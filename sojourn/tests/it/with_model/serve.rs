//! One model in a process of its own, asked by several runs.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what helpers of tests may do is what tests may do"
)]

use serde_json::Value;
use sojourn_testkit::{Running, skipped, until};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const TOKEN: &str = "a-token-of-this-test";

fn sojourn(home: &Path, args: &[&str]) -> Command {
    let mut command = sojourn_testkit::command(env!("CARGO_BIN_EXE_sojourn"));
    command.arg("--home").arg(home).args(args).env("SOJOURN_MODEL_TOKEN", TOKEN);
    command
}

struct Server {
    child: Running,
    url: String,
}

/// The default model, served; nothing where it was not pulled.
fn serve(home: &Path) -> Option<Server> {
    let mut serve = sojourn(home, &["models", "serve", "--http", "127.0.0.1:0", "--threads", "2"]);
    let mut child = Running::start(serve.stderr(Stdio::piped()));
    let mut told = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((_, rest)) = line.split_once("serving at ") {
            let url = rest.split(';').next().unwrap().to_owned();
            return Some(Server { child, url });
        }
        told.push_str(&line);
    }
    assert!(told.contains("sojourn models pull"), "{told}");
    skipped("the default model was not pulled");
    None
}

fn run(home: &Path, url: &str, seed: &str) -> Command {
    let base_url = format!("controller.base_url=\"{url}\"");
    let mut command = sojourn(home, &["run", "crafter", "--steps", "40", "--seed", seed, "--json"]);
    for set in [
        "controller.kind=\"served\"",
        &base_url,
        "controller.api_key_env=\"SOJOURN_MODEL_TOKEN\"",
        "embedding=\"none\"",
        "run.actor.candidates=2",
        "run.actor.max_tokens=64",
    ] {
        command.args(["--set", set]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn succeeded(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn runs_share_a_served_model_and_their_logs_replay() {
    let home = tempfile::tempdir().unwrap();
    let Some(server) = serve(home.path()) else { return };
    let runs: Vec<Child> = ["1", "2"].map(|seed| run(home.path(), &server.url, seed).spawn().unwrap()).into();
    for child in runs {
        let told = succeeded(&child.wait_with_output().unwrap());
        let id = told["run"].as_str().unwrap();
        let replayed = sojourn(home.path(), &["replay", id, "--verify", "--json"]).output().unwrap();
        assert_eq!(succeeded(&replayed)["matched"], true);
    }

    let refused =
        run(home.path(), &server.url, "3").env("SOJOURN_MODEL_TOKEN", "something else").output().unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("401"), "{words}");
    let url = server.url.clone();
    drop(server);
    let gone = run(home.path(), &url, "4").output().unwrap();
    let words = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(!gone.status.success() && words.contains("cannot reach"), "{words}");
}

#[test]
fn a_served_model_that_is_killed_comes_back_and_no_run_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let Some(server) = serve(home.path()) else { return };
    let going = run(home.path(), &server.url, "5").spawn().unwrap();
    // Its children are the workers: the first as long as it lives, and the one after it.
    let first = worker_of(server.child.id(), None);
    until("the run has asked the model", || records(home.path()) > 3);
    let killed = Command::new("kill").args(["-9", &first.to_string()]).status().unwrap();
    assert!(killed.success());
    assert_ne!(worker_of(server.child.id(), Some(first)), first);
    let told = succeeded(&going.wait_with_output().unwrap());
    let id = told["run"].as_str().unwrap();
    let replayed = sojourn(home.path(), &["replay", id, "--verify", "--json"]).output().unwrap();
    assert_eq!(succeeded(&replayed)["matched"], true);
}

/// A program that asks the server through an official client, if the client is installed here.
fn asked_by(program: &str, probe: &[&str], script: &str, server: &Server) {
    let has_client = Command::new(program).args(probe).output();
    if !has_client.is_ok_and(|output| output.status.success()) {
        return skipped(format_args!("the client `openai` for `{program}` is not installed"));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(script);
    let asked = sojourn_testkit::command(program)
        .arg(script)
        .env("OPENAI_BASE_URL", format!("{}/v1", server.url))
        .env("OPENAI_API_KEY", TOKEN)
        .env("MODEL", "qwen2.5-coder-1.5b-instruct")
        .output()
        .unwrap();
    assert!(asked.status.success(), "{program}: {}", String::from_utf8_lossy(&asked.stderr));
}

#[test]
fn official_clients_of_the_protocol_are_served() {
    let home = tempfile::tempdir().unwrap();
    let Some(server) = serve(home.path()) else { return };
    asked_by("python3", &["-c", "import openai"], "openai_client.py", &server);
    asked_by("node", &["-e", "require('openai')"], "openai_client.cjs", &server);
}

/// Records of the only run; 0 before there is one.
fn records(home: &Path) -> u64 {
    let listed = sojourn(home, &["runs", "--json"]).output().unwrap();
    let runs: Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
    runs[0]["records"].as_u64().unwrap_or(0)
}

/// Waits for the child of this process that is not `other`.
fn worker_of(parent: u32, other: Option<u32>) -> u32 {
    let mut worker = None;
    until("there is a worker", || {
        let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &parent.to_string()]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        worker = listed.split_whitespace().map(|pid| pid.parse().unwrap()).find(|&pid| Some(pid) != other);
        worker.is_some()
    });
    worker.unwrap()
}
