//! Unattended agents: the daemon, its runs and a person's commands as separate processes, some of which are killed.

#![cfg(target_os = "linux")]

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

/// The messages that a webhook got, each once: its sender may have died before it heard that one had arrived.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<BTreeMap<String, Value>>>);

impl Told {
    /// Writes an agent file with a webhook whose messages arrive here.
    fn by_agent_of(place: &Place) -> Self {
        let told = Self::default();
        let kept = Arc::clone(&told.0);
        let hook = serve_raw(move |request: Received| {
            let id = request.header("webhook-id").unwrap().to_owned();
            kept.lock().unwrap().insert(id, serde_json::from_slice(&request.body).unwrap());
            (200, String::new())
        });
        let notify = format!("[notify]\nwebhook = {{ url = \"{hook}\" }}\n");
        place.write_agent("environment = \"crafter\"", &notify);
        told
    }

    /// What was told of this kind of event.
    fn of(&self, event: &str) -> Vec<Value> {
        self.0.lock().unwrap().values().filter(|news| news["event"] == event).cloned().collect()
    }

    /// The tasks that were told as done, in order.
    fn goals(&self) -> Vec<String> {
        let mut goals: Vec<String> =
            self.of("goal").iter().map(|news| news["data"]["task"].as_str().unwrap().to_owned()).collect();
        goals.sort();
        goals
    }
}

/// The tasks that the log of the newest run has as done, in order.
fn done(place: &Place) -> Vec<String> {
    let milestones = place.json_lines(&["log", "latest", "--kind", "report_milestone"]);
    let done = milestones.iter().map(|record| &record["payload"]["milestone"]);
    let done =
        done.filter(|milestone| milestone["milestone"] == "task_done" && milestone["verified"] == true);
    let done: BTreeSet<String> = done.map(|done| done["task"].as_str().unwrap().to_owned()).collect();
    done.into_iter().collect()
}

/// Runs a statement in the home's database, as another process, and returns the number that it gives, if it gives one.
fn sql(place: &Place, statement: &'static str) -> Option<i64> {
    use sqlx::{ConnectOptions as _, Row as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(place.path().join("home/sojourn.db"));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut connection = options.busy_timeout(sojourn_testkit::PATIENCE).connect().await.unwrap();
        let row = sqlx::query(statement).fetch_optional(&mut connection).await.unwrap();
        row.map(|row| row.get(0))
    })
}

#[test]
fn a_process_that_dies_between_a_record_and_its_message_keeps_no_news_from_people() {
    let place = place();
    let told = Told::by_agent_of(&place);
    let live = |args: &[&str]| {
        let log =
            std::fs::File::options().create(true).append(true).open(place.path().join("run.log")).unwrap();
        let mut command = place.command(&[&["run", "agent.toml", "--unsupervised"], args].concat());
        Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log))
    };
    // No message of a goal is written, as on a disk that is full; then the process is killed.
    place.json(&["runs"]);
    sql(
        &place,
        "CREATE TRIGGER no_goals BEFORE INSERT ON outbox WHEN new.event = 'goal' BEGIN SELECT raise(ABORT, 'full'); END",
    );
    let mut process = live(&["--steps", "1000000"]);
    until("a goal is reached", || place.json(&["runs"]).get(0).is_some() && !done(&place).is_empty());
    send_signal(process.id(), Signal::KILL);
    process.wait().unwrap();
    sql(&place, "DROP TRIGGER no_goals");
    let all = done(&place);
    assert!(told.goals().is_empty() && !all.is_empty(), "{:?} of {all:?}", told.goals());

    // The process that resumes it tells what is missing, and nothing twice.
    let mut process = live(&["--resume", "--steps", "1"]);
    assert_eq!(process.wait().unwrap().code(), Some(0));
    until("all is told", || told.goals().len() >= done(&place).len());
    assert_eq!(told.goals(), done(&place), "each once");

    // A fork did none of this: nothing of it is news.
    let at = (records(&place) - 2).to_string();
    place.text(&["fork", "latest", "--at", &at, "--set", "run.budgets.steps=1", "--agent", "agent.toml"]);
    until("its end is told", || told.of("finished").len() == 2);
    assert_eq!(told.goals(), done(&place));
}

#[test]
fn a_run_whose_process_dies_after_its_end_is_finished_and_told_once() {
    let place = place();
    let told = Told::by_agent_of(&place);
    place.json(&["runs"]);
    sql(
        &place,
        "CREATE TRIGGER no_end BEFORE INSERT ON outbox WHEN new.event = 'finished' BEGIN SELECT raise(ABORT, 'full'); END",
    );
    place.text(&["schedule", "add", "agent.toml", "--at", "now", "--steps", "300", "--name", "life"]);
    let daemon = up(&place, &[]);
    let mut reported = None;
    until("the run is reported", || {
        reported = live(&place);
        reported.is_some()
    });
    let process = u32::try_from(reported.unwrap()["process"].as_u64().unwrap()).unwrap();
    until("the run is over", || place.json(&["runs"])[0]["status"] == "finished");
    assert!(is_alive(process), "its process cannot keep the message");
    send_signal(process, Signal::KILL);
    until("its process has ended", || !is_alive(process));
    sql(&place, "DROP TRIGGER no_end");
    until("the run is finished", || states(&place, "life") == ["finished"]);
    until("it is told", || !told.of("finished").is_empty());
    stop(daemon);
    let last = &history(&place)[0];
    assert!(last["why"].as_str().unwrap().contains("the step budget is used up"), "{last}");
    assert_eq!(told.of("finished").len(), 1);
    assert_eq!(told.goals(), done(&place));
}

#[test]
fn a_scheduled_run_survives_the_daemon_and_its_own_process_and_people_are_told() {
    let place = place();
    let told = Told::by_agent_of(&place);
    let added =
        place.json(&["schedule", "add", "agent.toml", "--at", "now", "--steps", "800", "--name", "life"]);
    assert_eq!(added["schedule"], "life");

    // The daemon is killed: its run ends with it, in order, and the next daemon resumes it.
    let mut daemon = up(&place, &["--http", "127.0.0.1:0"]);
    until("the run is reported", || live(&place).is_some() && records(&place) > 20);
    let metrics = page(&place, "/metrics");
    assert!(
        metrics.contains("sojourn_runs 1\n") && metrics.contains("sojourn_run_memory_bytes{run="),
        "{metrics}"
    );
    assert!(page(&place, "/healthz").ends_with("ok\n"));
    let top = place.json(&["top"]);
    assert_eq!(top["runs"][0]["run"], live(&place).unwrap()["run"], "{top}");
    assert!(top["disk_free_bytes"].as_u64().unwrap() > 0, "{top}");
    // Stdout is no terminal: one look is printed, without codes of a terminal.
    let once = place.text(&["top"]);
    assert!(once.starts_with("1 run · ") && once.contains("crafter") && !once.contains('\x1b'), "{once}");
    let second = place.run(&["up"]);
    assert!(
        second.code == 1 && second.stderr.contains("a daemon serves this home already: process"),
        "{second}"
    );
    let process = u32::try_from(live(&place).unwrap()["process"].as_u64().unwrap()).unwrap();
    send_signal(daemon.id(), Signal::KILL);
    daemon.wait().unwrap();
    until("the run's process has ended", || !is_alive(process));
    assert_eq!(states(&place, "life"), ["running"], "the next daemon knows of it");

    // The run's process hangs: it is killed and started again.
    let before = records(&place);
    let daemon = up(&place, &["--hung-after", "20s"]);
    until("the run goes on", || records(&place) > before && live(&place).is_some());
    let process = u32::try_from(live(&place).unwrap()["process"].as_u64().unwrap()).unwrap();
    send_signal(process, Signal::STOP);
    until("the run is finished", || states(&place, "life") == ["finished"]);
    let last = &history(&place)[0];
    assert!(last["starts"].as_u64().unwrap() >= 3, "{last}");
    assert!(last["why"].as_str().unwrap().contains("the step budget is used up"), "{last}");
    // What the run's processes left behind is the daemon's.
    until("all is told", || ["goal", "budget", "finished"].iter().all(|event| !told.of(event).is_empty()));
    until("every goal is told", || told.goals().len() >= done(&place).len());
    stop(daemon);

    // It is one run, as if nothing had happened.
    let run = last["run"].as_str().unwrap();
    assert_eq!(place.json(&["runs"]).as_array().unwrap().len(), 1);
    let verdict = place.json(&["replay", run, "--verify"]);
    assert_eq!(verdict["matched"], true, "{verdict}");
    assert_eq!(told.goals(), done(&place), "each once");
    for event in ["budget", "finished"] {
        assert_eq!(told.of(event).len(), 1, "{event}: {:?}", told.of(event));
    }
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

/// An agent whose model calls a tool that its policy asks about.
pub fn asking(place: &Place, policy: &str) {
    let dice = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/python/dice.py");
    place.write_agent(
        "environment = \"crafter\"",
        &format!(
            "[run]\ninstructions = \"Ask every tool.\"\nlibrary = false\nmemory = false\n\
             [tools.dice]\nkind = \"process\"\ncommand = [\"python3\", {:?}]\n\
             [policy]\n{policy}\n[[policy.rule]]\ntool = \"*\"\nthen = \"ask\"\n",
            dice.to_str().unwrap()
        ),
    );
}

fn pending(place: &Place) -> Vec<Value> {
    place.json(&["approvals", "list"]).as_array().unwrap().clone()
}

/// The decisions of the newest run.
pub fn decisions(place: &Place) -> Vec<Value> {
    let of = place.json_lines(&["log", "latest", "--kind", "tool_decision"]);
    of.iter().map(|record| record["payload"].clone()).collect()
}

#[test]
fn an_approval_waits_through_a_restart_and_is_given_by_another_process() {
    if !has("python3") {
        return;
    }
    let place = place();
    asking(&place, "unanswered = \"wait\"");
    place.text(&["schedule", "add", "agent.toml", "--at", "now", "--steps", "3", "--name", "asker"]);
    let mut daemon = up(&place, &[]);
    until("it asks", || pending(&place).len() == 1);
    let asked = pending(&place)[0].clone();
    assert!(decisions(&place).is_empty(), "nothing is decided while it waits");
    send_signal(daemon.id(), Signal::KILL);
    daemon.wait().unwrap();

    // After the restart the same question is still the only one, and it is shown whole.
    let daemon = up(&place, &[]);
    until("the run is resumed", || live(&place).is_some());
    let id = asked["approval"].as_str().unwrap();
    let shown = place.text(&["approvals", "show", id]);
    assert!(shown.contains("wants to call `dice_roll`") && shown.contains("what led to it:"), "{shown}");
    let wrong = format!("{}-000000", id.split('-').next().unwrap());
    assert!(
        place.run(&["approvals", "allow", &wrong]).stderr.contains("no approval"),
        "an answer names the call"
    );
    assert!(place.text(&["approvals", "allow", id]).contains("allowed the call of `dice_roll`"));
    let again = place.run(&["approvals", "deny", id]);
    assert!(again.code == 1 && again.stderr.contains("was allowed before, by a person"), "{again}");

    until("the run has made the call", || !decisions(&place).is_empty());
    let first = decisions(&place)[0].clone();
    assert_eq!((&first["granted"], &first["approval"]), (&json!(true), &json!(id)));
    assert_eq!(first["shown"], asked["shown"], "what was approved is what was shown");
    // Every further call asks again: an answer counts once.
    until("the run is finished", || {
        for more in pending(&place) {
            place.run(&["approvals", "deny", more["approval"].as_str().unwrap()]);
        }
        states(&place, "asker") == ["finished"]
    });
    stop(daemon);
    let named: Vec<Value> = decisions(&place).iter().map(|decision| decision["approval"].clone()).collect();
    assert_eq!(named.iter().filter(|name| **name == id).count(), 1, "{named:?}");
    let verdict = place.json(&["replay", "latest", "--verify"]);
    assert_eq!(verdict["matched"], true, "{verdict}");
}

#[test]
fn a_run_that_waits_for_long_is_paused_and_one_that_need_not_wait_goes_on() {
    if !has("python3") {
        return;
    }
    let place = place();
    asking(&place, "unanswered = \"wait\"");
    let run = ["run", "agent.toml", "--steps", "3", "--scheduled", "waits", "--release-after", "100ms"];
    let paused = place.run(&run);
    assert!(paused.code == 75 && paused.stderr.contains("paused: a call waits for an approval"), "{paused}");
    assert_eq!(place.json(&["runs"])[0]["status"], "paused");
    let id = pending(&place)[0]["approval"].as_str().unwrap().to_owned();
    let denied = place.text(&["approvals", "deny", &id]);
    assert!(denied.contains("denied the call"), "{denied}");
    let paused = place.run(&run);
    let decided = decisions(&place);
    assert_eq!((&decided[0]["granted"], &decided[0]["approval"]), (&json!(false), &json!(id)), "{paused}");

    // A time-out has a declared answer, and `continue` does not wait.
    asking(&place, "unanswered = \"wait\"\ntimeout_ms = 1\non_timeout = \"allow\"");
    place.run(&["run", "agent.toml", "--steps", "2", "--unattended"]);
    let decided = decisions(&place);
    assert!(decided[0]["by"].as_str().unwrap().starts_with("the time-out, who allowed it"), "{decided:?}");

    asking(&place, "unanswered = \"continue\"");
    let output = place.run(&["run", "agent.toml", "--steps", "2", "--unattended", "--json"]);
    let decided = decisions(&place);
    assert!(decided[0]["by"].as_str().unwrap().contains("go on with other things"), "{output} {decided:?}");
    let id = pending(&place).last().unwrap()["approval"].as_str().unwrap().to_owned();
    // The controller reads the answer.
    place.text(&["approvals", "allow", &id]);
    place.run(&["run", "agent.toml", "--resume", "--steps", "2", "--unattended"]);
    let changes = place.text(&["log", "latest", "--kind", "tools_changed", "--json"]);
    assert!(changes.contains("is allowed now: make it again"), "{changes}");
    assert_eq!(place.json(&["replay", "latest", "--verify"])["matched"], true);
}

/// A policy that is tightened while a question waits holds for its time-out too.
#[test]
fn a_time_out_that_allows_no_more_allows_no_question_that_is_kept() {
    if !has("python3") {
        return;
    }
    let place = place();
    let waits = "unanswered = \"wait\"\ntimeout_ms = 4000\non_timeout = ";
    let run = ["run", "agent.toml", "--steps", "3", "--scheduled", "waits", "--release-after", "100ms"];
    asking(&place, &format!("{waits}\"allow\""));
    let paused = place.run(&run);
    assert_eq!((paused.code, pending(&place).len()), (75, 1), "{paused}");
    asking(&place, &format!("{waits}\"deny\""));
    until("the first call is decided", || {
        place.run(&run);
        !decisions(&place).is_empty()
    });
    let first = decisions(&place)[0].clone();
    assert_eq!(first["granted"], false, "{first}");
    assert!(first["by"].as_str().unwrap().contains("the policy does not allow that any more"), "{first}");
}

/// The policy in the log bounds the time-outs of a run that is resumed under a looser file.
#[test]
fn a_time_out_that_the_log_denies_allows_nothing_under_a_looser_file() {
    if !has("python3") {
        return;
    }
    let place = place();
    let waits = "unanswered = \"wait\"\ntimeout_ms = 4000\non_timeout = ";
    let run = ["run", "agent.toml", "--steps", "3", "--scheduled", "waits", "--release-after", "100ms"];
    asking(&place, &format!("{waits}\"deny\""));
    let paused = place.run(&run);
    assert_eq!((paused.code, pending(&place).len()), (75, 1), "{paused}");
    asking(&place, &format!("{waits}\"allow\""));
    until("the first call is decided", || {
        place.run(&run);
        !decisions(&place).is_empty()
    });
    let decided = decisions(&place);
    assert!(decided.iter().all(|decision| decision["granted"] == false), "{decided:?}");
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
