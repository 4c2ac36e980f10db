//! The machines: a server, the person who submits runs, and workers as separate processes with homes of their own.

use super::super::place::{Place, Shim, until};
use super::network::{Cable, Network, in_network_of};
use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::Value;
use sojourn_testkit::{Postgres, Running, send_signal, serve, wandering};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the model thinks: most of the time a machine waits for it, as in life.
const THINKS: Duration = Duration::from_millis(30);

/// Several machines and their server.
pub struct Cluster<'s> {
    shim: &'s Shim,
    pub server: Postgres,
    url: String,
    pub person: Place,
    /// The model's address on every machine, without the path.
    model: String,
    /// `None` where all machines share this one's network.
    network: Option<Network>,
    /// Machines that were started so far.
    started: u8,
}

/// A machine with a worker.
pub struct Machine {
    place: Place,
    worker: Running,
    /// The network of the machine, where it has one of its own.
    pub cable: Option<Cable>,
    _model: Option<Running>,
}

/// A row of `sojourn queue list`.
pub struct Queued {
    pub run: String,
    pub state: String,
    pub claims: u64,
    pub why: String,
}

/// Serves the model at a port of this machine until the process ends.
pub fn model(port: &str) -> Result<()> {
    sojourn_testkit::serve_at(port.parse()?, |request| think(&request.body));
    loop {
        std::thread::park();
    }
}

fn think(body: &[u8]) -> Option<String> {
    std::thread::sleep(THINKS);
    wandering(body)
}

impl<'s> Cluster<'s> {
    /// A server, in a network of its own where `apart` and the system allows it. `None`, said loudly, on a machine without `PostgreSQL`.
    pub fn start(shim: &'s Shim, apart: bool) -> Result<Option<Self>> {
        let network = if apart { Network::start()? } else { None };
        let server = match &network {
            Some(network) => Postgres::start_in_network_of(network.process()),
            None => Postgres::start(),
        };
        let Some(server) = server else { return Ok(None) };
        let url = server.database("agents");
        let model = serve(|request| think(&request.body));
        let person = Place::with(&format!("{model}/v1"), "")?;
        Ok(Some(Self { shim, server, url, person, model, network, started: 0 }))
    }

    /// The library of faults.
    pub fn shim(&self) -> &Shim {
        self.shim
    }

    /// The model's address, for agent files.
    pub fn endpoint(&self) -> String {
        format!("{}/v1", self.model)
    }

    /// Whether each machine has a network of its own.
    pub fn is_apart(&self) -> bool {
        self.network.is_some()
    }

    /// What a command says about the store.
    pub fn text(&self, args: &[&str]) -> Result<String> {
        self.person.text(&[args, &["--store", &self.url]].concat())
    }

    /// The document of such a command.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(&[args, &["--json"]].concat())?)?)
    }

    /// A new machine whose worker listens; its clock and files are under the faults that `variables` say.
    pub fn machine(&mut self, options: &[&str], variables: &[(&str, &str)]) -> Result<Machine> {
        let place = Place::with(&self.endpoint(), "")?;
        let log = std::fs::File::create(place.path().join("worker.log"))?;
        self.started += 1;
        let number = self.started;
        let url = match &self.network {
            Some(_) => format!("postgres://postgres@{}/agents?sslmode=disable", Cable::server(number)),
            None => self.url.clone(),
        };
        let args = [&["worker", "--store", &url], options].concat();
        let command = place.faulty(self.shim, &args, variables);
        let (worker, cable, model) = if let Some(network) = &self.network {
            let (worker, cable) = plugged(network, number, &command, log)?;
            let port = self.model.rsplit(':').next().context("the model has no port")?;
            let here = std::env::current_exe()?;
            let mut model = in_network_of(worker.id(), here.to_str().context("a path that is no text")?);
            let model = Running::start(model.args(["faults", "model", port]).stdin(Stdio::null()));
            (worker, Some(cable), Some(model))
        } else {
            let mut command = command;
            let worker = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
            (worker, None, None)
        };
        let machine = Machine { place, worker, cable, _model: model };
        until("a worker listens", || machine.said().contains("waits for runs"))?;
        Ok(machine)
    }

    /// All runs of the queue, in the order of their submission.
    pub fn queue(&self) -> Result<Vec<Queued>> {
        let listed = self.json(&["queue", "list"])?;
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let row = |row: &Value| Queued {
            run: text(row, "run"),
            state: text(row, "state"),
            claims: row["claims"].as_u64().unwrap_or(0),
            why: text(row, "why"),
        };
        Ok(listed.as_array().context("no queue")?.iter().map(row).collect())
    }

    /// The number that a statement gives.
    pub fn number(&self, sql: &str) -> Result<u64> {
        self.server.sql("agents", sql).parse().with_context(|| sql.to_owned())
    }

    /// Records of all runs.
    pub fn records(&self) -> Result<u64> {
        self.number("SELECT count(*) FROM sojourn.records")
    }

    /// Runs of the queue that have not ended.
    pub fn open(&self) -> Result<u64> {
        self.number("SELECT count(*) FROM sojourn.queue WHERE ended_ms IS NULL")
    }
}

/// Starts a worker in a network namespace of its own, which ends with its last process.
fn plugged(network: &Network, number: u8, worker: &Command, log: std::fs::File) -> Result<(Running, Cable)> {
    // It waits for a line: by then the cable is there.
    let mut apart = sojourn_testkit::command("unshare");
    apart.args(["-n", "sh", "-c", "read _; exec \"$@\" </dev/null", "worker"]);
    apart.arg(worker.get_program()).args(worker.get_args());
    for (name, value) in worker.get_envs() {
        if let Some(value) = value {
            apart.env(name, value);
        } else {
            apart.env_remove(name);
        }
    }
    if let Some(directory) = worker.get_current_dir() {
        apart.current_dir(directory);
    }
    let mut worker = Running::start(apart.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log));
    let cable = network.plug(number, worker.id())?;
    let mut stdin = worker.stdin.take().context("no standard input")?;
    stdin.write_all(b"\n")?;
    Ok((worker, cable))
}

impl Machine {
    /// What its worker has said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.place.path().join("worker.log")).unwrap_or_default()
    }

    /// The worker's process.
    pub fn worker(&self) -> u32 {
        self.worker.id()
    }

    /// The processes of its runs.
    pub fn runs(&self) -> Result<Vec<u32>> {
        let listed = Command::new("pgrep").args(["-P", &self.worker().to_string()]).output()?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        Ok(listed.split_whitespace().filter_map(|process| process.parse().ok()).collect())
    }

    /// Signals the worker and its runs, as a machine that sleeps.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let runs = self.runs()?;
        send_signal(self.worker(), signal);
        for run in runs {
            signal_run(run, signal);
        }
        Ok(())
    }
}

/// Signals the process of a run, which may have ended.
pub fn signal_run(process: u32, signal: Signal) {
    if let Some(process) = rustix::process::Pid::from_raw(process.cast_signed()) {
        let _ = rustix::process::kill_process(process, signal);
    }
}

impl Shim {
    pub fn path(&self) -> &Path {
        &self.0
    }
}
