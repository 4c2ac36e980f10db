//! Unattended agents: the daemon, its runs and a person's commands as separate processes, some of which are killed.

#![cfg(target_os = "linux")]

pub mod approvals;
mod news;

use crate::support::place;
use rustix::process::Signal;
use serde_json::{Value, json};
use sojourn_memory::{Arguments, Missed, NewSchedule, Overlap, Store, Timing, Work};
use sojourn_testkit::{Place, Received, Running, has, is_alive, send_signal, serve_raw, skipped, until};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

/// A daemon for the place's home, and what it says in the file `up.log`.
fn up(place: &Place, args: &[&str]) -> Running {
    let log = std::fs::File::options().create(true).append(true).open(place.path().join("up.log")).unwrap();
    let mut command = place.command(&[&["up"], args].concat());
    Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log))
}

/// The same, once it listens to signals.
fn up_and_listening(place: &Place, args: &[&str]) -> Running {
    let before = said(place).matches("serving `").count();
    let daemon = up(place, args);
    until("the daemon serves", || said(place).matches("serving `").count() > before);
    daemon
}

fn said(place: &Place) -> String {
    std::fs::read_to_string(place.path().join("up.log")).unwrap_or_default()
}

/// The recorded due times, the newest first.
fn history(place: &Place) -> Vec<Value> {
    place.json(&["schedule", "history"]).as_array().unwrap().clone()
}

fn states(place: &Place, schedule: &str) -> Vec<String> {
    let of_it =
        |due: &Value| (due["schedule"] == schedule).then(|| due["state"].as_str().unwrap().to_owned());
    history(place).iter().filter_map(of_it).collect()
}

/// Records of the newest run; 0 before there is one.
fn records(place: &Place) -> u64 {
    place.json(&["runs"])[0]["records"].as_u64().unwrap_or(0)
}

fn live(place: &Place) -> Option<Value> {
    place.json(&["ps"])["runs"].get(0).cloned()
}

/// Asks a daemon to stop; it must do so in order.
fn stop(mut daemon: Running) {
    send_signal(daemon.id(), Signal::TERM);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

/// A page of the daemon's server.
fn page(place: &Place, path: &str) -> String {
    let said = said(place);
    let address = said.rsplit_once("metrics at http://").unwrap().1.split('/').next().unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn what_was_recorded_and_not_started_is_started_by_the_next_daemon() {
    let place = place();
    place.write_agent("environment = \"crafter\"", "");
    let add = |name: &str, overlap: &str| {
        let when = ["--every", "1s", "--steps", "3", "--overlap", overlap, "--name", name];
        place.text(&[&["schedule", "add", "agent.toml"], &when[..]].concat());
    };
    add("refusing", "refuse");
    add("queueing", "queue");
    // The disk is too full for any run: due times are recorded, and nothing starts. Then the daemon is killed.
    let mut daemon = up(&place, &["--keep-free", "900000TiB", "--http", "127.0.0.1:0"]);
    until("several are due", || states(&place, "queueing").len() >= 3);
    assert!(said(&place).contains("pausing all runs"), "{}", said(&place));
    assert!(page(&place, "/healthz").contains("503"), "a daemon that starts nothing is not healthy");
    send_signal(daemon.id(), Signal::KILL);
    daemon.wait().unwrap();
    let refusing = states(&place, "refusing");
    assert_eq!(refusing.last().unwrap(), "due");
    assert!(refusing.iter().rev().skip(1).all(|state| state == "refused"), "{refusing:?}");
    assert!(states(&place, "queueing").iter().all(|state| state == "due"));
    assert_eq!(place.json(&["runs"]), json!([]), "nothing has started");

    place.text(&["schedule", "pause", "refusing"]);
    place.text(&["schedule", "pause", "queueing"]);
    let queued = states(&place, "queueing").len();
    let daemon = up_and_listening(&place, &["--runs", "1"]);
    send_signal(daemon.id(), Signal::HUP);
    until("SIGHUP is heard", || said(&place).contains("read the schedules again: 2"));
    until("all have run", || {
        let all = [states(&place, "refusing"), states(&place, "queueing")].concat();
        all.iter().filter(|state| *state == "finished").count() == queued + 1
    });
    stop(daemon);
    assert_eq!(place.json(&["runs"]).as_array().unwrap().len(), queued + 1, "each has run once");
    let mut runs: Vec<Value> = history(&place).into_iter().filter(|due| due["state"] == "finished").collect();
    runs.sort_by_key(|due| due["started_ms"].as_i64());
    for pair in runs.windows(2) {
        assert!(pair[0]["ended_ms"].as_i64() <= pair[1]["started_ms"].as_i64(), "one at a time: {pair:?}");
    }

    place.text(&["schedule", "remove", "refusing"]);
    assert!(!states(&place, "refusing").is_empty(), "its history stays");
    let unknown = place.run(&["schedule", "pause", "queuing"]);
    assert!(unknown.code == 3 && unknown.stderr.contains("did you mean `queueing`?"), "{unknown}");
}

#[test]
fn due_times_that_nobody_was_there_for_are_made_up_for_or_left_out_and_never_lost() {
    let place = place();
    place.write_agent("environment = \"crafter\"", "");
    // The schedules were made five and a half hours ago, and no daemon has run since then.
    let created_ms = sojourn_core::now_ms() - 5 * 3_600_000 - 1_800_000;
    let agent = place.path().join("agent.toml").display().to_string();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(place.path().join("home")).await.unwrap();
        for (name, missed) in [("makes-up", Missed::Run), ("skips", Missed::Skip)] {
            let new = NewSchedule {
                name: name.to_owned(),
                work: Work::Run {
                    agent: agent.clone(),
                    arguments: Arguments { always: vec![], first: vec!["--steps".into(), "2".into()] },
                    queue: None,
                },
                timing: Timing::EveryMs(3_600_000),
                missed,
                overlap: Overlap::Refuse,
                created_ms,
            };
            store.add_schedule(new).await.unwrap();
        }
        store.close().await;
    });
    let daemon = up(&place, &[]);
    until("both are settled", || {
        states(&place, "makes-up") == ["finished"] && !states(&place, "skips").is_empty()
    });
    stop(daemon);
    let of = |name: &str| history(&place).into_iter().find(|due| due["schedule"] == name).unwrap();
    assert_eq!(of("makes-up")["missed_before"], 4, "one run for five due times");
    assert_eq!((&of("skips")["state"], &of("skips")["missed_before"]), (&json!("skipped"), &json!(4)));
    assert_eq!(of("skips")["due_ms"], created_ms + 5 * 3_600_000);
    assert_eq!(place.json(&["runs"]).as_array().unwrap().len(), 1);
}

#[test]
fn logs_are_collected_by_schedule_and_never_below_a_live_run() {
    let place = place();
    place.write_agent("environment = \"crafter\"", "");
    for _ in 0..3 {
        // A run that memories or skills name would stay.
        place.text(&[
            "run",
            "agent.toml",
            "--steps",
            "3",
            "--set",
            "run.memory=false",
            "--set",
            "run.learning=false",
        ]);
    }
    place.text(&["schedule", "add", "agent.toml", "--at", "now", "--steps", "800", "--name", "life"]);
    let gc = |name: &str, more: &[&str]| {
        place.json(&[&["schedule", "gc", "--at", "now", "--keep", "1", "--name", name], more].concat())
    };
    let daemon = up(&place, &[]);
    until("the run is reported", || live(&place).is_some());
    assert_eq!(gc("patient", &[])["gc"]["newest"], 1);
    until("it waits", || place.json(&["ps"])["open"][0]["why"] == "waits until no run is under way");
    let shown = place.text(&["ps"]);
    assert!(shown.contains("log gc [patient] due: waits until no run is under way"), "{shown}");
    assert_eq!(place.json(&["runs"]).as_array().unwrap().len(), 4, "nothing is removed below a live run");
    let before = records(&place);
    gc("impatient", &["--pause-runs"]);
    until("both are done", || {
        [states(&place, "patient"), states(&place, "impatient")].concat() == ["finished", "finished"]
    });
    let runs = place.json(&["runs"]);
    assert_eq!(runs.as_array().unwrap().len(), 1, "the newest stays: {runs}");
    let shown = place.text(&["schedule", "history"]);
    assert!(shown.contains("log gc") && shown.contains("removed 3 runs with "), "{shown}");
    until("the run is finished", || states(&place, "life") == ["finished"]);
    stop(daemon);
    assert!(records(&place) > before);
    let last = history(&place).into_iter().find(|due| due["schedule"] == "life").unwrap();
    assert_eq!(last["starts"], 2, "it was paused once: {last}");
    assert_eq!(place.json(&["replay", last["run"].as_str().unwrap(), "--verify"])["matched"], true);

    let boundless = place.complaint(&["schedule", "gc", "--every", "1d"]);
    assert!(boundless.contains("--keep") && boundless.contains("--older-than"), "{boundless}");
}

#[test]
fn a_disk_that_runs_low_pauses_a_run_before_it_is_full_and_a_killed_process_is_started_again() {
    let place = place();
    let home = place.path().join("home");
    std::fs::create_dir(&home).unwrap();
    // A disk of its own, in a namespace of its own: a file system in memory.
    let in_namespace = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(&home);
        command
    };
    let mount = "mount -t tmpfs -o size=96m none \"$1\"";
    if !in_namespace(mount).output().is_ok_and(|output| output.status.success()) {
        return skipped("this user may not mount a file system in a namespace");
    }
    place.write_agent("environment = \"crafter\"", "");
    let up = place.command(&["up", "--keep-free", "32MiB"]);
    let mut command = in_namespace(&format!("{mount} && shift && exec \"$@\""));
    command.arg(up.get_program()).args(up.get_args()).current_dir(place.path());
    command.envs(up.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let log = std::fs::File::create(place.path().join("up.log")).unwrap();
    let daemon = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
    until("the daemon serves", || said(&place).contains("serving `"));

    // Commands see the home as the daemon does. SQLite follows the link of a process's root, so they enter its namespaces.
    let inside = PathBuf::from(format!("/proc/{}/root{}", daemon.id(), home.display()));
    let ask = |args: &[&str]| -> Value {
        let asked = place.command(&[args, &["--json"]].concat());
        let mut command = std::process::Command::new("nsenter");
        command.args(["--user", "--mount", "--preserve-credentials", "--target", &daemon.id().to_string()]);
        command.arg(asked.get_program()).args(asked.get_args()).current_dir(place.path());
        command.envs(asked.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let answer = place.answer(&command.output().unwrap());
        assert!(answer.is_ok(), "{args:?}: {answer}");
        serde_json::from_str(&answer.stdout).unwrap()
    };
    let agent = place.path().join("agent.toml").display().to_string();
    ask(&["schedule", "add", &agent, "--at", "now", "--steps", "800", "--name", "life"]);
    let process =
        || ask(&["ps"])["runs"][0]["process"].as_u64().map(|process| u32::try_from(process).unwrap());
    let records = || ask(&["runs"])[0]["records"].as_u64().unwrap_or(0);
    let due = || ask(&["schedule", "history"])[0].clone();
    until("the run is under way", || records() > 20 && process().is_some());
    std::fs::write(inside.join("filler"), vec![0; 60 << 20]).unwrap();
    until("the run is paused", || said(&place).contains("pausing all runs") && process().is_none());
    let paused_at = records();
    assert_eq!((&due()["state"], &due()["starts"]), (&json!("running"), &json!(1)), "{}", due());
    assert_eq!(ask(&["log", "verify"])["intact"], true);
    std::fs::remove_file(inside.join("filler")).unwrap();
    until("the run goes on", || records() > paused_at && process().is_some());
    assert!(said(&place).contains("there is room on the disk again"), "{}", said(&place));

    // Its process is killed: it goes on, as the same run.
    send_signal(process().unwrap(), Signal::KILL);
    until("the run is finished", || due()["state"] == "finished");
    assert!(due()["starts"].as_u64().unwrap() >= 3, "{}", due());
    assert!(!said(&place).contains("disk is full"), "{}", said(&place));
    let run = due()["run"].as_str().unwrap().to_owned();
    assert_eq!(ask(&["replay", &run, "--verify"])["matched"], true);
    stop(daemon);
}

#[test]
fn an_agent_that_cannot_run_is_settled_with_its_own_words() {
    let place = place();
    place.write_agent("environment = \"crafter\"", "");
    place.text(&["schedule", "add", "agent.toml", "--at", "now", "--name", "broken"]);
    place.write("agent.toml", "environment = \"crafter\"\nmodle = \"x\"\n");
    let daemon = up(&place, &[]);
    until("it is settled", || states(&place, "broken") == ["failed"]);
    stop(daemon);
    let why = history(&place)[0]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("unknown key `modle`; did you mean `model`?"), "{why}");
}

#[test]
fn what_a_schedule_cannot_do_is_said_when_it_is_added() {
    let place = place();
    place.write_agent("environment = \"crafter\"", "");
    let add = |when: &[&str]| place.complaint(&[&["schedule", "add", "agent.toml"], when].concat());
    let complaints = [
        add(&["--cron", "61 * * * *"]),
        add(&["--cron", "0 8 * * *", "--zone", "Europe/Berlinn"]),
        add(&["--at", "2020-01-01 08:00", "--zone", "UTC"]),
        add(&["--every", "10ms"]),
        add(&["--every", "6h", "--name", "two words"]),
        add(&["--every", "6h", "--set", "run.actor.candidate=8"]),
    ];
    insta::assert_snapshot!(complaints.join("\n"));
    place.text(&[
        "schedule",
        "add",
        "agent.toml",
        "--cron",
        "0 8 * * mon-fri",
        "--zone",
        "Europe/Berlin",
        "--name",
        "daily",
    ]);
    let twice = add(&["--every", "6h", "--name", "daily"]);
    assert!(twice.contains("there is a schedule `daily` already"), "{twice}");
    let listed = place.text(&["schedule", "list"]);
    assert!(listed.contains("0 8 * * mon-fri (Europe/Berlin)") && listed.contains("08:00:00 +0"), "{listed}");
}

#[test]
fn a_secret_is_kept_in_no_title_and_in_no_schedule() {
    const SECRET: &str = "hunter2-and-more";
    let place = place();
    place.write_agent("environment = \"crafter\"\nsecrets = [\"MY_KEY\"]", "");
    let with_secret = |args: &[&str]| {
        let mut command = place.command(args);
        place.answer(&command.env("MY_KEY", SECRET).output().unwrap())
    };
    let setting = format!("run.instructions=\"say {SECRET}\"");
    let refused = with_secret(&["schedule", "add", "agent.toml", "--every", "6h", "--set", &setting]);
    assert!(
        !refused.is_ok() && refused.stderr.contains("`--set run.instructions` holds a secret"),
        "{refused}"
    );
    assert_eq!(place.json(&["schedule", "list"]), json!([]));
    let ran = with_secret(&["run", "agent.toml", "--steps", "2"]);
    assert!(ran.is_ok(), "{ran}");
    let title = format!("with {SECRET}");
    let fork = ["fork", "latest", "--at", "3", "--agent", "agent.toml", "--title", &title, "--no-run"];
    let forked = with_secret(&fork);
    assert!(forked.is_ok(), "{forked}");
    assert_eq!(place.json(&["runs"])[0]["title"], "with [secret MY_KEY]");
}

#[test]
fn the_unit_is_printed_where_there_is_no_systemd() {
    let place = place();
    let mut command = place.command(&["up", "--install", "--runs", "2"]);
    let answer = place.answer(&command.env("PATH", "/nowhere").output().unwrap());
    assert!(answer.is_ok() && answer.stderr.contains("there is no systemd here"), "{answer}");
    for line in
        ["ExecStart=", " --home [PLACE]/home up --runs 2 ", "KillMode=mixed", "WantedBy=default.target"]
    {
        assert!(answer.stdout.contains(line), "no {line}: {answer}");
    }
    let refused = place.complaint(&["up", "--http", "0.0.0.0:8811"]);
    assert!(refused.contains("serves this computer only"), "{refused}");
}
