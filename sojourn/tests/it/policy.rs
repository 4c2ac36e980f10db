//! The policy of an agent file between two processes of a run, and the secrets that the file names.

use crate::support::{command, endpoint, place, sojourn};
use serde_json::Value;
use sojourn_testkit::has;
use std::path::{Path, PathBuf};

/// An agent whose model asks every tool once, with a policy of one rule for all tools. `also` names one more source of tools.
fn agent(then: &str, more: &str, also: Option<&str>) -> String {
    let dice = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/python/dice.py");
    let source = |name: &str| {
        format!("[tools.{name}]\nkind = \"process\"\ncommand = [\"python3\", {:?}]\n", dice.to_str().unwrap())
    };
    format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n{more}\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         [run]\ninstructions = \"Ask every tool.\"\nlibrary = false\nmemory = false\n\
         {}{}[[policy.rule]]\ntool = \"*\"\nthen = \"{then}\"\n",
        endpoint(),
        source("dice"),
        also.map(source).unwrap_or_default()
    )
}

fn run(place: &Path, args: &[&str]) -> String {
    let output = sojourn(place, args);
    let [told, complained] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{args:?}: {told} {complained}");
    told.into_owned()
}

fn records(place: &Path) -> Vec<Value> {
    run(place, &["log", "latest", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether each call was granted.
fn granted(records: &[Value]) -> Vec<bool> {
    let decisions = records.iter().filter(|record| record["kind"] == "tool_decision");
    decisions.map(|record| record["payload"]["granted"].as_bool().unwrap()).collect()
}

#[test]
fn a_tightened_policy_is_obeyed_by_a_resumed_and_by_an_imported_run() {
    if !has("python3") {
        return;
    }
    let (here, there) = (place(), place());
    let file = here.path().join("agent.toml");
    std::fs::write(&file, agent("allow", "", None)).unwrap();
    let result: Value =
        serde_json::from_str(&run(here.path(), &["run", "agent.toml", "--steps", "4", "--json"])).unwrap();
    let id = result["run"].as_str().unwrap();
    assert!(granted(&records(here.path())).contains(&true));
    let export = here.path().join("run.jsonl");
    run(here.path(), &["log", "export", "latest", "--out", export.to_str().unwrap()]);

    for (place, imported) in [(&here, false), (&there, true)] {
        if imported {
            run(place.path(), &["log", "import", export.to_str().unwrap()]);
        }
        std::fs::write(place.path().join("agent.toml"), agent("deny", "", Some("more"))).unwrap();
        // A model that may call nothing repeats itself, so the run may be paused.
        let output = sojourn(place.path(), &["run", "agent.toml", "--resume", id, "--steps", "4", "--json"]);
        assert!(output.status.code().is_some(), "{}", String::from_utf8_lossy(&output.stderr));
        let all = records(place.path());
        let at = all.iter().position(|record| record["kind"] == "resumed").unwrap();
        assert_eq!(all[at]["payload"]["policy"]["rule"][0]["then"], "deny");
        assert_eq!(all[at]["payload"]["untrusted"].as_bool().unwrap_or(false), imported);
        let since = granted(&all[at..]);
        assert!(!since.is_empty() && !since.contains(&true), "{since:?}");
        let verdict: Value =
            serde_json::from_str(&run(place.path(), &["replay", "latest", "--verify", "--json"])).unwrap();
        assert_eq!(verdict["matched"], true, "{verdict}");
        run(place.path(), &["log", "verify", "latest"]);
    }
}

#[test]
fn a_secret_that_is_too_short_is_warned_of_at_the_start() {
    if !has("python3") {
        return;
    }
    let place = place();
    std::fs::write(place.path().join("agent.toml"), agent("deny", "secrets = [\"PIN\", \"BIT\"]\n", None))
        .unwrap();
    let mut command = command(place.path(), &["run", "agent.toml", "--steps", "2", "--json"]);
    let output = command.env("PIN", "4711").env("BIT", "on").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the secret `BIT`: it is too short"), "{said}");
    assert!(said.contains("the secret `PIN`: it is short"), "{said}");
}

#[test]
fn resuming_an_imported_run_brings_none_of_its_lessons_into_the_home() {
    let (here, there) = (place(), place());
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n[run]\ntasks = [\"collect_wood\"]\n",
        endpoint()
    );
    for place in [&here, &there] {
        std::fs::write(place.path().join("agent.toml"), &agent).unwrap();
    }
    let result: Value = serde_json::from_str(&run(
        here.path(),
        &["run", "agent.toml", "--steps", "30", "--seed", "3", "--json"],
    ))
    .unwrap();
    let id = result["run"].as_str().unwrap();
    let lessons = |log: &[Value]| log.iter().filter(|record| record["kind"] == "remember").count();
    let (memories, records_here) = (["memory", "stats", "--json"], records(here.path()));
    let at_first = lessons(&records_here);
    assert!(at_first > 0, "the run remembered something");
    let export = here.path().join("run.jsonl");
    run(here.path(), &["log", "export", "latest", "--out", export.to_str().unwrap()]);
    run(there.path(), &["log", "import", export.to_str().unwrap()]);
    let output = sojourn(there.path(), &["run", "agent.toml", "--resume", "--steps", "1"]);
    assert_eq!(output.status.code(), Some(3), "an imported run is resumed only by its name");
    let output = sojourn(there.path(), &["run", "agent.toml", "--resume", id, "--steps", "1", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let skills: Value = serde_json::from_str(&run(there.path(), &["skills", "list", "--json"])).unwrap();
    assert_eq!(skills, serde_json::json!([]), "no skill of the log is the home's");
    let kept: Value = serde_json::from_str(&run(there.path(), &memories)).unwrap();
    let own = lessons(&records(there.path())) - at_first;
    let kept: u64 = kept["memories"]["kinds"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(kept, own as u64);
    // What came from elsewhere changes nothing in a second resume either.
    sojourn(there.path(), &["run", "agent.toml", "--resume", id, "--steps", "1", "--json"]);
    let verdict: Value =
        serde_json::from_str(&run(there.path(), &["replay", "latest", "--verify", "--json"])).unwrap();
    assert_eq!(verdict["matched"], true, "{verdict}");
}

/// A program whose only tool never answers, whatever time its caller has.
const SILENT: &str = r#"
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["method"] == "describe":
        tool = {"name": "wait", "description": "waits", "timeout_ms": 9223372036854775808, "effects": {"write": False, "network": False, "irreversible": False, "idempotent": True}}
        print(json.dumps({"id": request["id"], "result": {"tools": [tool]}}), flush=True)
"#;

#[test]
fn a_tool_that_never_answers_does_not_outlive_the_time_of_the_run() {
    if !has("python3") {
        return;
    }
    let place = place();
    place.write("silent.py", SILENT);
    let source = "[tools.silent]\nkind = \"process\"\ncommand = [\"python3\", \"silent.py\"]\n";
    let text = agent("allow", "", None).replace("[[policy.rule]]", &format!("{source}[[policy.rule]]"));
    std::fs::write(place.path().join("agent.toml"), text).unwrap();
    run(place.path(), &["run", "agent.toml", "--time", "2s", "--json"]);
    let log = run(place.path(), &["log", "latest", "--json"]);
    assert!(log.contains("`silent_wait` did not answer within the time of the run"), "{log}");
    assert!(log.contains("\"kind\":\"finish\""), "{log}");
    let verdict: Value =
        serde_json::from_str(&run(place.path(), &["replay", "latest", "--verify", "--json"])).unwrap();
    assert_eq!(verdict["matched"], true, "{verdict}");
}

/// Starts its arguments on a terminal of 24 lines of 80 characters, prints what comes within a second after the question, and says no.
const AT_A_TERMINAL: &str = r#"
import fcntl, os, pty, select, struct, sys, termios, time
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
seen, asked = b"", None
while True:
    ready, _, _ = select.select([terminal], [], [], 0.1)
    try:
        seen += os.read(terminal, 65536) if ready else b""
    except OSError:
        break
    if asked is None and b"[N]o: " in seen:
        asked = time.monotonic()
        before, seen = seen.split(b"[N]o: ", 1)
    if asked is not None and time.monotonic() - asked > 1:
        print(repr(seen))
        asked = float("inf")
        os.write(terminal, b"n\n")
os.waitpid(pid, 0)
"#;

#[test]
fn the_progress_erases_nothing_of_a_question() {
    if !has("python3") {
        return;
    }
    let place = place();
    std::fs::write(place.path().join("agent.toml"), agent("ask", "", None)).unwrap();
    place.write("terminal.py", AT_A_TERMINAL);
    let run = place.command(&["run", "agent.toml", "--steps", "2"]);
    let mut command = std::process::Command::new("python3");
    command.arg("terminal.py").arg(run.get_program()).args(run.get_args()).current_dir(place.path());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.env("TERM", "xterm-256color").output().unwrap();
    let after = String::from_utf8_lossy(&output.stdout);
    assert_eq!(after.lines().next(), Some("b''"), "{after}{}", String::from_utf8_lossy(&output.stderr));
}
