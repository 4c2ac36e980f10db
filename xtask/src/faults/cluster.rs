//! Many machines that fail: workers as separate processes with homes of their own, one `PostgreSQL`, and what happens to them.

use super::place::{Place, Shim, until};
use super::say;
use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use sojourn_testkit::{Postgres, Running, send_signal};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The runs, their steps, the workers, and the faults.
const RUNS: usize = 30;
const STEPS: &str = "250";
const WORKERS: usize = 3;
const FAULTS: usize = 24;
/// New records, over all runs, between two faults: each fault finds runs under way, and none is given up for lack of progress.
const BETWEEN: u64 = 250;
/// Limit on the time of all of it.
const PATIENCE: Duration = Duration::from_mins(40);
/// Runs that are compared with the same runs on a machine without faults.
const COMPARED: usize = 3;

/// Runs keep to themselves, so that each has one future whatever the others do.
const AGENT: &str = "\n[run]\nlibrary = false\nmemory = false\n";

/// Several machines and their server.
struct Cluster<'s> {
    shim: &'s Shim,
    server: Postgres,
    url: String,
    person: Place,
}

/// A machine with a worker.
struct Machine {
    place: Place,
    worker: Running,
}

/// A row of `sojourn queue list`.
struct Queued {
    run: String,
    state: String,
    claims: u64,
}

impl<'s> Cluster<'s> {
    /// `None`, said loudly, on a machine without `PostgreSQL`.
    fn start(shim: &'s Shim) -> Result<Option<Self>> {
        let Some(server) = Postgres::start() else { return Ok(None) };
        let url = server.database("agents");
        let person = Place::with(&sojourn_testkit::endpoint(), AGENT)?;
        Ok(Some(Self { shim, server, url, person }))
    }

    fn text(&self, args: &[&str]) -> Result<String> {
        self.person.text(&[args, &["--store", &self.url]].concat())
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(&[args, &["--json"]].concat())?)?)
    }

    fn machine(&self, options: &[&str], variables: &[(&str, &str)]) -> Result<Machine> {
        let place = Place::with(&sojourn_testkit::endpoint(), AGENT)?;
        let log = std::fs::File::create(place.path().join("worker.log"))?;
        let args = [&["worker", "--store", &self.url], options].concat();
        let mut command = place.faulty(self.shim, &args, variables);
        let worker = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
        let machine = Machine { place, worker };
        until("a worker listens", || machine.said().contains("waits for runs"))?;
        Ok(machine)
    }

    fn queue(&self) -> Result<Vec<Queued>> {
        let listed = self.json(&["queue", "list"])?;
        let row = |row: &Value| Queued {
            run: row["run"].as_str().unwrap_or_default().to_owned(),
            state: row["state"].as_str().unwrap_or_default().to_owned(),
            claims: row["claims"].as_u64().unwrap_or(0),
        };
        Ok(listed.as_array().context("no queue")?.iter().map(row).collect())
    }

    fn number(&self, sql: &str) -> Result<u64> {
        self.server.sql("agents", sql).parse().with_context(|| sql.to_owned())
    }

    fn records(&self) -> Result<u64> {
        self.number("SELECT count(*) FROM sojourn.records")
    }

    fn open(&self) -> Result<u64> {
        self.number("SELECT count(*) FROM sojourn.queue WHERE ended_ms IS NULL")
    }
}

impl Machine {
    fn said(&self) -> String {
        std::fs::read_to_string(self.place.path().join("worker.log")).unwrap_or_default()
    }

    /// Signals the worker and its runs, as a machine that sleeps.
    fn signal(&self, signal: Signal) -> Result<()> {
        let worker = self.worker.id().to_string();
        let children = Command::new("pgrep").args(["-P", &worker]).output()?;
        send_signal(self.worker.id(), signal);
        for child in String::from_utf8_lossy(&children.stdout).split_whitespace() {
            let name = if signal == Signal::STOP { "-STOP" } else { "-CONT" };
            // It may have ended.
            let _ = Command::new("kill").args([name, child]).status()?;
        }
        Ok(())
    }
}

/// A fault that is caused in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Kill,
    Sleep,
    Restart,
    Cut,
    FullDisk,
}

impl Fault {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Kill, "a worker killed"),
        (Self::Sleep, "a worker stopped for longer than its claims last"),
        (Self::Restart, "PostgreSQL killed and started again"),
        (Self::Cut, "all connections cut"),
        (Self::FullDisk, "no room for what PostgreSQL writes ahead"),
    ];
}

/// 30 runs on three workers, one of them with a clock that is set back, while one fault after the other happens.
pub fn machines_that_fail(shim: &Shim) -> Result<()> {
    let Some(mut cluster) = Cluster::start(shim)? else { return Ok(()) };
    let begun = Instant::now();
    for seed in 0..RUNS {
        let seed = seed.to_string();
        cluster.text(&["run", "agent.toml", "--queue", "--steps", STEPS, "--seed", &seed])?;
    }
    let options = ["--runs", "2"];
    let clock = [("CLOCK_JUMP_S", "-7200"), ("CLOCK_JUMP_AFTER_MS", "3000")];
    let mut machines = vec![cluster.machine(&options, &clock)?];
    for _ in 1..WORKERS {
        machines.push(cluster.machine(&options, &[])?);
    }
    let mut happened: BTreeMap<Fault, u64> = BTreeMap::new();
    for turn in 0..FAULTS {
        let goal = cluster.records()? + BETWEEN;
        loop {
            ensure!(begun.elapsed() < PATIENCE, "nothing goes on: {} runs are open", cluster.open()?);
            if cluster.records()? >= goal || cluster.open()? == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        if cluster.open()? == 0 {
            break;
        }
        let (fault, what) = Fault::ALL[turn % Fault::ALL.len()];
        // Another machine each time, also the one whose clock is wrong.
        let chosen = turn / Fault::ALL.len() % machines.len();
        say(&format!("  {:4} s: {what}; {} runs are open", begun.elapsed().as_secs(), cluster.open()?));
        *happened.entry(fault).or_default() += 1;
        match fault {
            // Dropping the old worker kills it.
            Fault::Kill => machines[chosen] = cluster.machine(&options, &[])?,
            Fault::Sleep => {
                machines[chosen].signal(Signal::STOP)?;
                std::thread::sleep(Duration::from_secs(15));
                machines[chosen].signal(Signal::CONT)?;
            }
            Fault::Restart => cluster.server.restart(),
            Fault::Cut => {
                cluster.server.sql(
                    "agents",
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'sojourn'",
                );
            }
            Fault::FullDisk => {
                let variables =
                    [("FAULT_PATH", "pg_wal"), ("FAULT_ERRNO", "28"), ("FAULT_AFTER", "40")].map(own);
                let preload = ("LD_PRELOAD".to_owned(), shim.path().display().to_string());
                cluster.server.restart_with(&[&variables[..], &[preload]].concat());
                std::thread::sleep(Duration::from_secs(8));
                let full = cluster.server.log().contains("No space left on device");
                cluster.server.restart();
                ensure!(full, "the disk was not full: the fault has no effect");
            }
        }
    }
    until_patient(&begun, || Ok(cluster.open()? == 0))?;
    let took = begun.elapsed();
    let queue = cluster.queue()?;
    whole(&cluster, &queue)?;
    same_as_undisturbed(&cluster, &queue)?;
    let claims: u64 = queue.iter().map(|run| run.claims).sum();
    let fenced = machines.iter().filter(|machine| machine.said().contains("taken")).count();
    say(&format!(
        "  {} runs, {} records, {claims} claims, in {} s; {} faults: {}; {fenced} of the workers that are left lost a run to another",
        queue.len(),
        cluster.records()?,
        took.as_secs(),
        happened.values().sum::<u64>(),
        Fault::ALL
            .iter()
            .map(|(fault, what)| format!("{} × {what}", happened.get(fault).unwrap_or(&0)))
            .collect::<Vec<_>>()
            .join(", ")
    ));
    Ok(())
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn until_patient(begun: &Instant, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    while !holds()? {
        ensure!(begun.elapsed() < PATIENCE, "the runs do not end");
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// Every run has ended by its budget, none is doubled, no record is missing, every chain verifies, and every replay matches.
fn whole(cluster: &Cluster<'_>, queue: &[Queued]) -> Result<()> {
    ensure!(queue.len() == RUNS, "{} runs were submitted", queue.len());
    for Queued { run, state, .. } in queue {
        ensure!(state == "finished", "run `{run}` is {state}");
        let verified = cluster.json(&["log", "verify", run])?;
        ensure!(verified["intact"] == true, "{verified}");
        let verdict = cluster.json(&["replay", run, "--verify"])?;
        ensure!(verdict["matched"] == true, "{verdict}");
    }
    let gaps = "SELECT count(*) FROM sojourn.runs r WHERE last_seq != (SELECT count(*) FROM sojourn.records WHERE run = r.no)";
    ensure!(cluster.number(gaps)? == 0, "records of a run are missing or doubled");
    ensure!(cluster.number("SELECT count(*) FROM sojourn.runs")? == RUNS as u64, "there are other runs");
    Ok(())
}

/// The milestones of the first runs are those of the same runs on a machine without faults.
fn same_as_undisturbed(cluster: &Cluster<'_>, queue: &[Queued]) -> Result<()> {
    for (seed, Queued { run, .. }) in queue.iter().take(COMPARED).enumerate() {
        let here = Place::with(&sojourn_testkit::endpoint(), AGENT)?;
        here.text(&["run", "agent.toml", "--steps", STEPS, "--seed", &seed.to_string(), "--json"])?;
        let kinds = ["--kind", "report_milestone", "--kind", "acted"];
        let alone = here.text(&[&["log", "latest", "--json"], &kinds[..]].concat())?;
        let disturbed = cluster.text(&[&["log", run, "--json"], &kinds[..]].concat())?;
        let said = |text: &str| -> Result<Vec<Value>> {
            let records = text.lines().map(serde_json::from_str::<Value>);
            records.map(|record| Ok(record?["payload"].clone())).collect()
        };
        let (alone, disturbed) = (said(&alone)?, said(&disturbed)?);
        ensure!(!alone.is_empty(), "the run without faults did nothing");
        if let Some(at) =
            (0..alone.len().max(disturbed.len())).find(|at| alone.get(*at) != disturbed.get(*at))
        {
            bail!("seed {seed} differs: {:?} became {:?}", alone.get(at), disturbed.get(at));
        }
    }
    Ok(())
}

/// 1,000 runs wait, and four workers ask the server no more than their work needs: hardly ever where none of the runs is for them, and
/// a few times for each run that they carry out.
pub fn a_thousand_queued(shim: &Shim) -> Result<()> {
    const QUEUED: u64 = 1000;
    let Some(cluster) = Cluster::start(shim)? else { return Ok(()) };
    cluster.text(&["run", "agent.toml", "--queue", "--steps", "2", "--labels", "gpu"])?;
    cluster.server.sql(
        "agents",
        &format!(
            "INSERT INTO sojourn.queue (run, path, agent, arguments, labels, submitted_ms) \
             SELECT 'queued-' || n, path, agent, arguments, labels, submitted_ms FROM sojourn.queue, generate_series(2, {QUEUED}) AS n"
        ),
    );
    cluster.server.sql("agents", "ALTER SYSTEM SET log_statement = 'all'");
    cluster.server.sql("agents", "ALTER SYSTEM SET log_line_prefix = '%a|'");
    cluster.server.sql("agents", "SELECT pg_reload_conf()");
    let machines: Vec<Machine> = (0..4).map(|_| cluster.machine(&[], &[])).collect::<Result<_>>()?;
    std::thread::sleep(Duration::from_secs(5));
    let over = |window: Duration| -> (u64, f64) {
        let before = statements(&cluster.server);
        let begun = Instant::now();
        std::thread::sleep(window);
        let asked = statements(&cluster.server) - before;
        (asked, asked as f64 / begun.elapsed().as_secs_f64())
    };
    let (_, idle) = over(Duration::from_mins(1));
    ensure!(cluster.open()? == QUEUED, "somebody claimed a run that was not for them");
    // Now they are for everybody.
    cluster.server.sql("agents", "UPDATE sojourn.queue SET labels = '[]'");
    until("runs are finished", || cluster.open().is_ok_and(|open| open < QUEUED))?;
    let open = cluster.open()?;
    let (asked, busy) = over(Duration::from_mins(2));
    let ended = open - cluster.open()?;
    drop(machines);
    ensure!(ended > 0, "no run ended within two minutes");
    let each = asked as f64 / ended as f64;
    say(&format!(
        "  {QUEUED} queued runs, 4 workers: {idle:.2} statements a second where none is for them; at work {busy:.1} a second, \
         {each:.0} for each of {ended} runs that ended"
    ));
    ensure!(idle < 2.0, "{idle:.2} statements a second without work are a poll storm");
    ensure!(each < 300.0, "{each:.0} statements for a run of two steps are a poll storm");
    Ok(())
}

/// The statements that the server has logged so far, those of this program.
fn statements(server: &Postgres) -> u64 {
    let logged = server.log();
    logged
        .lines()
        .filter(|line| line.starts_with("sojourn|"))
        .filter(|line| line.contains("LOG:  execute ") || line.contains("LOG:  statement: "))
        .count() as u64
}

impl Shim {
    fn path(&self) -> &Path {
        &self.0
    }
}
