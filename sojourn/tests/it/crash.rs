//! Processes that die, are stopped, or get in each other's way: nothing that was recorded is lost, and the run goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::support::{command, endpoint, sojourn, worker};
use serde_json::{Value, json};
use sojourn_testkit::command_in;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A place with an agent whose model is a script, and the agent file's further lines.
fn place(more: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n{more}\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        endpoint()
    );
    std::fs::write(dir.path().join("agent.toml"), agent).unwrap();
    dir
}

/// A place with the golden run; its id.
fn recorded() -> (tempfile::TempDir, String) {
    let dir = place("");
    std::fs::create_dir(dir.path().join("home")).unwrap();
    std::fs::write(dir.path().join("home/sojourn.db"), crate::golden::log()).unwrap();
    let run = runs(dir.path())[0]["run"].as_str().unwrap().to_owned();
    (dir, run)
}

fn document(place: &Path, args: &[&str]) -> Value {
    let output = sojourn(place, args);
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {told}"))
}

fn runs(place: &Path) -> Vec<Value> {
    document(place, &["runs", "--json"]).as_array().unwrap().clone()
}

/// Records of the newest run; 0 before there is one.
fn records(place: &Path) -> u64 {
    let output = sojourn(place, &["runs", "--json"]);
    let runs: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    runs[0]["records"].as_u64().unwrap_or(0)
}

/// Waits until something holds; far longer than it ever takes.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_mins(2), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A run without an end in the background.
fn launch(place: &Path) -> Child {
    let mut run = command(place, &["run", "agent.toml", "--seed", "1"]);
    run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The program as these tests call it.
fn program() -> String {
    env!("CARGO_BIN_EXE_sojourn").to_owned()
}

fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_killed_worker_is_restarted_and_resumes() {
    let dir = place("");
    let place = dir.path();
    let mut supervisor = launch(place);
    until("something was recorded", || records(place) > 40);
    let first = worker(supervisor.id()).expect("a worker");
    send("-KILL", first);
    let before = records(place);
    until("another worker goes on", || {
        worker(supervisor.id()).is_some_and(|pid| pid != first) && records(place) > before + 20
    });
    // Somebody else may not write to the same run meanwhile.
    let run = runs(place)[0]["run"].as_str().unwrap().to_owned();
    let second = sojourn(place, &["run", "agent.toml", "--resume", &run]);
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && told.contains(&run), "{told}");

    // Asked to stop, it finishes the step and leaves a run that can be resumed.
    send("-TERM", supervisor.id());
    let output = supervisor.wait().unwrap();
    assert_eq!(output.code(), Some(130));
    assert_eq!(runs(place)[0]["status"], "paused");
    let resumed = sojourn(place, &["log", &run, "--kind", "resumed"]);
    assert_eq!(String::from_utf8_lossy(&resumed.stdout).lines().count(), 1);

    // It is given more, and everything it ever did happens again exactly.
    let result = document(place, &["run", "agent.toml", "--resume", &run, "--steps", "30", "--json"]);
    assert_eq!(result["run"], json!(run));
    let verdict = document(place, &["replay", &run, "--verify", "--json"]);
    assert_eq!(verdict["matched"], true, "{verdict}");
    assert_eq!(runs(place).len(), 1);
}

/// `timeout` signals its child and then the whole group, so each process gets the signal several times at once.
#[test]
fn a_signal_that_comes_several_times_at_once_still_prints_the_summary_and_how_to_resume() {
    for second in ["-TERM", "-INT"] {
        let dir = place("");
        let mut run = command(dir.path(), &["run", "agent.toml", "--seed", "1"]);
        let supervisor = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("something was recorded", || records(dir.path()) > 20);
        let worker = worker(supervisor.id()).expect("a worker");
        let (one, other) = (supervisor.id(), worker);
        // The second signals may find processes that have ended.
        let kill = format!("kill -TERM {one} {other}; kill {second} {one} {other}; kill {second} {other}");
        Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap();
        let output = supervisor.wait_with_output().unwrap();
        let (said, shown) =
            (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(shown.contains("0 skills learned") && shown.contains("interrupted: "), "{shown}{said}");
        // The command can be copied: it is this program, as it was called.
        let again = format!("interrupted; resume with `{} run agent.toml --resume ", program());
        assert!(said.contains(&again), "{said}");
    }
}

/// `nohup` ignores SIGHUP, and `kill -INT` signals the supervisor alone.
#[test]
fn a_ctrl_c_to_the_supervisor_alone_stops_a_run_that_ignores_hangups() {
    let dir = place("");
    let program = program();
    let home = dir.path().join("home");
    let script = "trap '' HUP; exec \"$0\" --home \"$1\" run agent.toml --seed 1";
    let mut run = command_in(dir.path(), "sh".as_ref(), &["-c", script, &program, home.to_str().unwrap()]);
    run.stdout(Stdio::null()).stderr(Stdio::piped());
    let supervisor = run.spawn().unwrap();
    until("something was recorded", || records(dir.path()) > 20);
    send("-INT", supervisor.id());
    let output = supervisor.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    let again = format!("resume with `{program} --home {} run agent.toml --resume ", home.display());
    assert!(said.contains(&again), "{said}");
    assert_eq!(runs(dir.path())[0]["status"], "paused");
}

#[test]
fn a_run_killed_again_and_again_is_the_same_run() {
    let (dir, run) = recorded();
    let every = records(dir.path()) / 6;
    let verdict = document(dir.path(), &["simulate-crash", &run, "--every", &every.to_string(), "--json"]);
    assert_eq!(verdict["lost"], false, "{verdict}");
    assert!(verdict["killed_after"].as_array().unwrap().len() >= 6, "{verdict}");
    // The run itself was not touched.
    assert_eq!(runs(dir.path()).len(), 1);
    assert_eq!(document(dir.path(), &["replay", &run, "--verify", "--json"])["matched"], true);
}

#[test]
fn a_fork_names_a_task_that_does_not_exist_before_it_is_made() {
    let (dir, _) = recorded();
    let args =
        ["fork", "latest", "--at", "40", "--agent", "agent.toml", "--set", "run.tasks=[\"colect_wood\"]"];
    let refused = sojourn(dir.path(), &args);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(told.contains("has no task `colect_wood`; did you mean `collect_wood`?"), "{told}");
    assert_eq!(runs(dir.path()).len(), 1, "no fork was made");
}

#[test]
fn a_position_outside_the_run_is_refused() {
    let (dir, run) = recorded();
    for command in ["simulate-crash", "fork"] {
        for name in [run.as_str(), "latest"] {
            let output = sojourn(dir.path(), &[command, name, "--at", "999999"]);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(3), "{told}");
            assert!(told.contains("has no record 999999: its records are 1 to"), "{told}");
        }
    }
}

#[test]
fn a_fork_shares_a_prefix_and_diverges() {
    let (dir, parent) = recorded();
    let place = dir.path();
    std::fs::write(place.join("prompt.txt"), "Prefer drinking.").unwrap();
    let records = |run: &str| -> Vec<Value> {
        let output = sojourn(place, &["log", run, "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let before = records(&parent);
    // After a request that was made with the old settings; the next one has the new ones.
    let asks = |record: &Value| record["kind"] == "ask_controller";
    let at = 150 + before[150..].iter().position(asks).expect("it asks its model") + 1;
    let at_text = at.to_string();
    let args = [
        "fork",
        &parent,
        "--at",
        &at_text,
        "--agent",
        "agent.toml",
        "--set",
        "run.actor.candidates=2",
        "--prompt-file",
        "prompt.txt",
        "--steps",
        "15",
        "--title",
        "another way",
        "--json",
    ];
    let result = document(place, &args);
    let fork = result["run"].as_str().unwrap();
    let all = runs(place);
    assert_eq!(all.len(), 2);
    let own = all.iter().find(|run| run["run"] == json!(fork)).unwrap();
    assert_eq!((&own["title"], &own["status"]), (&json!("another way"), &json!("finished")));
    assert_eq!(own["model"], "scripted");

    let after = records(fork);
    for (one, other) in before.iter().zip(&after).take(at) {
        assert_eq!((&one["kind"], &one["payload"]), (&other["kind"], &other["payload"]));
    }
    assert_eq!(after[at]["kind"], "forked");
    let asked =
        after[at + 1..].iter().find(|record| record["kind"] == "ask_controller").expect("it asks its model");
    let prompt = asked["payload"].to_string();
    assert!(prompt.contains("Prefer drinking."), "{prompt}");
    let written = after[at + 1..].iter().filter(|record| record["kind"] == "ask_controller");
    let candidates: Vec<_> =
        written.map(|record| record["payload"]["request"]["candidates"].clone()).collect();
    assert!(!candidates.contains(&json!(4)), "{candidates:?}");

    for run in [&parent, fork] {
        let verdict = document(place, &["replay", run, "--verify", "--json"]);
        assert_eq!(verdict["matched"], true, "{verdict}");
    }
    // What was changed comes first, although both share the first record.
    let told = String::from_utf8(sojourn(place, &["diff", &parent, fork]).stdout).unwrap();
    let told: Vec<&str> = told.lines().skip(3).take(4).collect();
    assert_eq!(told[0], "their settings differ:");
    assert!(told[1..].iter().any(|line| line.trim() == "budgets_added"), "{told:?}");
    let compared = document(place, &["diff", &parent, fork, "--json"]);
    assert_eq!(compared["changed_settings"][1]["config"]["instructions"], "Prefer drinking.");
    assert_eq!(compared["same_start"], true);
    // The time before the fork was made is not the fork's.
    assert!(own["seconds"].as_f64().unwrap() < 60.0, "{own}");
    // What a fork learns is not put into the library.
    assert_eq!(document(place, &["skills", "list", "--json"]), json!([]));
}

#[test]
fn a_secret_is_nowhere() {
    const SECRET: &str = "sk-planted-8f3a91";
    let dir = place("secrets = [\"PLANTED\"]");
    let place = dir.path();
    let instructions = format!("run.instructions=\"the key is {SECRET}, keep it\"");
    let run = |more: &[&str]| {
        let mut args = vec!["run", "agent.toml", "--seed", "1", "--set", &instructions];
        args.extend(more);
        command(place, &args).env("PLANTED", SECRET).output().unwrap()
    };
    let output = run(&["--steps", "20", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let name = runs(place)[0]["run"].as_str().unwrap().to_owned();
    let log = sojourn(place, &["log", &name, "--json"]);
    let text = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(text.contains("[secret PLANTED]") && !text.contains(SECRET));
    let asked = text.lines().find(|line| line.contains("\"kind\":\"ask_controller\"")).unwrap();
    let seq = serde_json::from_str::<Value>(asked).unwrap()["seq"].to_string();
    let shown = sojourn(place, &["log", "show", &name, &seq]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("[secret PLANTED]") && !shown.contains(SECRET), "{shown}");
    for told in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(told).contains(SECRET));
    }
    for file in files(&place.join("home")) {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "the secret is in {}", file.display());
    }
    assert_eq!(document(place, &["replay", &name, "--verify", "--json"])["matched"], true);
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
