//! Many machines that fail: workers as separate processes with homes of their own, one `PostgreSQL`, and what happens to them.

mod checks;
pub mod machine;
mod network;

use super::place::Shim;
use super::say;
use anyhow::{Result, ensure};
pub use machine::model;
use machine::{Cluster, Machine, signal_run};
use rustix::process::Signal;
use sojourn_primitives::SplitMix64;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The runs, their steps, and the workers.
const RUNS: usize = 30;
const STEPS: &str = "400";
const WORKERS: usize = 3;
/// The worker whose clock is set back by two hours, some seconds after each of its processes starts.
const WRONG_CLOCK: usize = 0;
/// New records, over all runs, between two faults, at most: each fault finds runs under way, and none is given up for lack of progress.
const BETWEEN: u64 = 300;
/// Longer than a claim and a lease last, in seconds.
const TOO_LONG: u64 = 13;
/// Limit on the time of all of it.
const PATIENCE: Duration = Duration::from_mins(40);
/// The seed of the faults. Without it the clock gives one.
const SEED: &str = "SOJOURN_FAULTS_SEED";

/// A fault that is caused in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Kill,
    Orphans,
    KillRun,
    Sleep,
    Restart,
    Cut,
    FullDisk,
    Unplug,
    PowerFailure,
}

impl Fault {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Kill, "a worker killed with its runs"),
        (Self::Orphans, "a worker killed, its runs not"),
        (Self::KillRun, "the process of a run killed"),
        (Self::Sleep, "a machine stopped for longer than its claims last"),
        (Self::Restart, "PostgreSQL killed and started again"),
        (Self::Cut, "all connections cut"),
        (Self::FullDisk, "no room for what PostgreSQL writes ahead"),
        (Self::Unplug, "a machine cut off for longer than its claims last"),
        (Self::PowerFailure, "a machine cut off, and killed before it is back"),
    ];

    fn needs_network(self) -> bool {
        matches!(self, Self::Unplug | Self::PowerFailure)
    }
}

/// The faults that are still to come: each once in every round, in an order by chance.
struct Deck {
    random: SplitMix64,
    all: Vec<(Fault, &'static str)>,
    left: Vec<(Fault, &'static str)>,
}

impl Deck {
    fn draw(&mut self) -> (Fault, &'static str) {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
        }
        let at = self.below(self.left.len());
        self.left.swap_remove(at)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap_or(0)
    }
}

/// 30 runs on three workers, one of them with a clock that is set back, while one fault after the other happens.
pub fn machines_that_fail(shim: &Shim) -> Result<()> {
    let Some(mut cluster) = Cluster::start(shim, true)? else { return Ok(()) };
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(clock);
    say(&format!("  {SEED}={seed}"));
    let mut all = Fault::ALL.to_vec();
    all.retain(|(fault, _)| cluster.is_apart() || !fault.needs_network());
    let mut deck = Deck { random: SplitMix64::new(seed), all, left: Vec::new() };

    let begun = Instant::now();
    checks::submit(&cluster, RUNS, STEPS)?;
    let mut machines = Vec::new();
    for number in 0..WORKERS {
        machines.push(start(&mut cluster, number)?);
    }
    let mut happened: BTreeMap<Fault, u64> = BTreeMap::new();
    let mut lost = 0;
    loop {
        let goal = cluster.records()? + 1 + deck.random.below(BETWEEN);
        loop {
            ensure!(begun.elapsed() < PATIENCE, "nothing goes on: {} runs are open", cluster.open()?);
            if cluster.records()? >= goal || cluster.open()? == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let open = cluster.open()?;
        if open == 0 {
            break;
        }
        let (fault, what) = deck.draw();
        let chosen = deck.below(machines.len());
        say(&format!("  {:4} s: {what}; {open} runs are open", begun.elapsed().as_secs()));
        *happened.entry(fault).or_default() += 1;
        cause(fault, &mut cluster, &mut machines, chosen, &mut lost)?;
    }
    let took = begun.elapsed();
    lost += machines.iter().map(lost_runs).sum::<u64>();
    drop(machines);
    ensure!(
        happened.len() == deck.all.len(),
        "the runs ended before each fault had happened once: {happened:?}"
    );
    let checked = checks::whole(&cluster, RUNS, STEPS)?;
    let mut listed = String::new();
    for (fault, what) in &deck.all {
        let _ = write!(listed, "; {} × {what}", happened.get(fault).unwrap_or(&0));
    }
    say(&format!(
        "  {RUNS} runs, {} records, in {} s; {checked}; {lost} times a worker lost a run to another; {} faults{listed}",
        cluster.records()?,
        took.as_secs(),
        happened.values().sum::<u64>(),
    ));
    Ok(())
}

fn start(cluster: &mut Cluster<'_>, number: usize) -> Result<Machine> {
    let clock = [("CLOCK_JUMP_S", "-7200"), ("CLOCK_JUMP_AFTER_MS", "3000")];
    cluster.machine(&["--runs", "2"], if number == WRONG_CLOCK { &clock } else { &[] })
}

/// How often a worker, or a process of it, met somebody who had taken its run over.
fn lost_runs(machine: &Machine) -> u64 {
    let said = machine.said();
    said.lines().filter(|line| line.contains("taken over") || line.contains("was taken from")).count() as u64
}

/// Causes a fault at one of the machines, or at the server.
fn cause(
    fault: Fault,
    cluster: &mut Cluster<'_>,
    machines: &mut [Machine],
    chosen: usize,
    lost: &mut u64,
) -> Result<()> {
    let wait = || std::thread::sleep(Duration::from_secs(TOO_LONG));
    let machine = &machines[chosen];
    match fault {
        // Dropping a machine kills it.
        Fault::Kill => {}
        Fault::Orphans => {
            sojourn_testkit::send_signal(machine.worker(), Signal::KILL);
            // The system asks its runs to stop; others may claim them only later.
            std::thread::sleep(Duration::from_secs(2));
        }
        Fault::KillRun => {
            if let Some(run) = machine.runs()?.first() {
                signal_run(*run, Signal::KILL);
            }
        }
        Fault::Sleep => {
            machine.signal(Signal::STOP)?;
            wait();
            machine.signal(Signal::CONT)?;
        }
        Fault::Restart => cluster.server.restart(),
        Fault::Cut => {
            let all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'sojourn'";
            cluster.server.sql("agents", all);
        }
        Fault::FullDisk => {
            let variables = [("FAULT_PATH", "pg_wal"), ("FAULT_ERRNO", "28"), ("FAULT_AFTER", "40")];
            let preload = cluster.shim().path().display().to_string();
            let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            let variables = variables.into_iter().chain([("LD_PRELOAD", preload.as_str())]).map(own);
            cluster.server.restart_with(&variables.collect::<Vec<_>>());
            std::thread::sleep(Duration::from_secs(8));
            let full = cluster.server.log().contains("No space left on device");
            cluster.server.restart();
            ensure!(full, "the disk was not full: the fault has no effect");
        }
        Fault::Unplug => {
            let Some(cable) = &machine.cable else { return Ok(()) };
            cable.cut()?;
            wait();
            cable.mend()?;
        }
        Fault::PowerFailure => {
            let Some(cable) = &machine.cable else { return Ok(()) };
            // The server hears nothing of the end of the connections.
            cable.cut()?;
        }
    }
    if matches!(fault, Fault::Kill | Fault::Orphans | Fault::PowerFailure) {
        *lost += lost_runs(machine);
        machines[chosen] = start(cluster, chosen)?;
    }
    Ok(())
}
