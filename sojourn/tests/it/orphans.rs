//! However Sojourn ends, the programs that it started end too, with everything that they started.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::support::{command, endpoint, sojourn, worker};
use rustix::process::Signal;
use sojourn_testkit::{Running, is_alive, send_signal, until};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

/// A plugin that hides: it ignores signals, starts a process in a session of its own, and one whose parent ends at once. Each writes
/// its process id.
const PLUGIN: &str = r#"#!/bin/sh
trap '' TERM HUP INT
echo $$ >> "$1"
setsid sh -c 'echo $$ >> "$0"; sleep 600' "$1" </dev/null >/dev/null 2>&1 &
sh -c 'setsid sh -c "echo \$\$ >> $0; trap \"\" TERM HUP; sleep 600" </dev/null >/dev/null 2>&1 &' "$1"
read request
echo '{"id":1,"result":{"tools":[{"name":"slow","effects":{"write":false,"network":false,"irreversible":false,"idempotent":true}}]}}'
while :; do sleep 600; done
"#;
/// Processes of one plugin that write their id.
const PROCESSES: usize = 3;

/// A place with an agent that has the plugin.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    std::fs::write(path.join("plugin.sh"), PLUGIN).unwrap();
    let mut agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        endpoint()
    );
    let line = ["/bin/sh".to_owned(), shown(&path.join("plugin.sh")), shown(&path.join("pids"))];
    writeln!(agent, "[tools.y]\nkind = \"process\"\ncommand = {line:?}").unwrap();
    std::fs::write(path.join("agent.toml"), agent).unwrap();
    dir
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn pids(place: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(place.join("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Starts the command and waits until the plugin's processes are there.
fn start(place: &Path, args: &[&str]) -> Running {
    let mut command = command(place, args);
    let running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    until("the plugin has started its processes", || pids(place).len() >= PROCESSES);
    assert!(pids(place).iter().all(|&pid| is_alive(pid)));
    if args.first() == Some(&"run") {
        // Plugins are started before the first record is written, and a run without a record is not resumed.
        until("the run has a record", || {
            let runs = sojourn(place, &["runs", "--json"]);
            let runs: serde_json::Value = serde_json::from_slice(&runs.stdout).unwrap_or_default();
            runs[0]["records"].as_u64() > Some(0)
        });
    }
    running
}

fn all_end(place: &Path, how: &str) {
    until(&format!("everything has ended after {how}"), || pids(place).iter().all(|&pid| !is_alive(pid)));
}

/// Whether the kernel drops every SIGHUP to a process.
fn ignores_hangups(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1
}

#[test]
fn a_plugin_and_its_detached_children_end_with_a_command_that_is_killed() {
    for signal in [Signal::KILL, Signal::HUP] {
        let dir = place();
        let mut call = start(dir.path(), &["tools", "call", "agent.toml", "y_slow", "{}", "--yes"]);
        send_signal(call.id(), signal);
        call.wait().unwrap();
        all_end(dir.path(), &format!("{signal:?} to a call"));
    }
}

#[test]
fn a_plugin_and_its_detached_children_end_with_a_supervisor_that_is_killed() {
    for signal in [Signal::KILL, Signal::INT] {
        let dir = place();
        let place = dir.path();
        let mut run = start(place, &["run", "agent.toml", "--seed", "1"]);
        send_signal(run.id(), signal);
        run.wait().unwrap();
        all_end(place, &format!("{signal:?} to a supervisor"));
        // Nothing is lost. A worker without a supervisor may need a moment to end.
        until("the run is resumed", || {
            sojourn(place, &["run", "agent.toml", "--resume", "--steps", "2"]).status.success()
        });
        all_end(place, "a run to its end");
    }
}

#[test]
fn a_plugin_and_its_detached_children_end_with_a_worker_that_is_killed() {
    let dir = place();
    let place = dir.path();
    let mut run = start(place, &["run", "agent.toml", "--seed", "1"]);
    let first = pids(place);
    send_signal(worker(run.id()).unwrap(), Signal::KILL);
    until("the first worker's processes have ended", || first.iter().all(|&pid| !is_alive(pid)));
    until("another worker has started the plugin again", || pids(place).len() >= 2 * PROCESSES);
    send_signal(run.id(), Signal::TERM);
    run.wait().unwrap();
    all_end(place, "the run was stopped");
}

#[test]
fn a_closed_terminal_pauses_a_run() {
    let dir = place();
    let place = dir.path();
    let mut run = start(place, &["run", "agent.toml", "--seed", "1"]);
    // As the kernel does: to the supervisor and to the worker.
    rustix::process::kill_process_group(rustix::process::Pid::from_child(&run), Signal::HUP).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    all_end(place, "a closed terminal");
    let runs = sojourn(place, &["runs", "--json"]);
    let runs: serde_json::Value = serde_json::from_slice(&runs.stdout).unwrap();
    assert_eq!(runs[0]["status"], "paused");
}

#[test]
fn nohup_outlives_the_terminal() {
    let dir = place();
    let place = dir.path();
    let program = env!("CARGO_BIN_EXE_sojourn");
    let mut nohup = sojourn_testkit::command("nohup");
    let home = shown(&place.join("home"));
    nohup.args([program, "--home", &home, "run", "agent.toml", "--seed", "1"]).current_dir(place);
    let mut run = Running::start(nohup.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    until("the plugin has started its processes", || pids(place).len() >= PROCESSES);
    // Both processes listen to their signals before a plugin is started.
    assert!(ignores_hangups(run.id()) && ignores_hangups(worker(run.id()).unwrap()));
    rustix::process::kill_process_group(rustix::process::Pid::from_child(&run), Signal::HUP).unwrap();
    send_signal(run.id(), Signal::TERM);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    all_end(place, "the run was stopped");
}

#[test]
fn a_shell_command_ends_with_what_it_left_in_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path();
    std::fs::write(
        place.join("agent.toml"),
        "environment = \"crafter\"\nmodel = \"none\"\nembedding = \"none\"\n[tools.sh]\nkind = \"shell\"\nenabled = true\n",
    )
    .unwrap();
    let line = format!(
        r#"{{"command": "setsid sh -c 'echo $$ >> {0}; sleep 600' >/dev/null 2>&1 </dev/null & until [ -s {0} ]; do sleep 0.1; done; echo out; exit 7"}}"#,
        shown(&place.join("pids"))
    );
    let output = sojourn(place, &["tools", "call", "agent.toml", "sh_run", &line, "--yes", "--json"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("out") && said.contains("exit status: 7"), "{said}{output:?}");
    assert_eq!(pids(place).len(), 1, "{said}");
    all_end(place, "the command ended");
}

#[test]
fn a_command_that_kills_its_reapers_leaves_nothing_behind() {
    for victims in ["$PPID", "$outer", "$outer $PPID", "$PPID $outer"] {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path();
        std::fs::write(
            place.join("agent.toml"),
            "environment = \"crafter\"\nmodel = \"none\"\nembedding = \"none\"\n[tools.sh]\nkind = \"shell\"\nenabled = true\n",
        )
        .unwrap();
        let script = format!(
            "setsid sh -c 'echo $$ >> {0}; sleep 600' >/dev/null 2>&1 </dev/null & until [ -s {0} ]; do sleep 0.1; done; \
             outer=$(sed 's/.*) . \\([0-9]*\\) .*/\\1/' /proc/$PPID/stat); kill -9 {victims}; sleep 600",
            shown(&place.join("pids"))
        );
        let args = serde_json::json!({ "command": script }).to_string();
        sojourn(place, &["tools", "call", "agent.toml", "sh_run", &args, "--yes"]);
        assert_eq!(pids(place).len(), 1, "{victims}");
        all_end(place, victims);
    }
}
