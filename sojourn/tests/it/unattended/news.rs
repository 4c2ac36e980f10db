//! Messages to people: each event once, whatever dies between its record and the message.

use super::*;

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
