//! The daemon: records due times, starts the runs, keeps them alive, and stops in order.
//!
//! The daemon itself has no state: everything that matters is in the home's tables before it happens. A daemon that is killed at
//! any moment and started again finds due times that were recorded and never started, and runs whose processes are gone, and goes
//! on with both. A run's process ends with the daemon, in order where it can, because it asked the kernel for SIGTERM at that
//! moment; so no second process ever writes to a run.

mod collect;
pub(crate) mod settle;

use crate::children::{Children, Start};
use crate::disk;
use crate::metrics::Vitals;
use crate::notify::Courier;
use crate::recorder::{Recorder, may_begin};
use async_trait::async_trait;
use collect::Collecting;
pub use settle::WAITING;
use sojourn_memory::{
    Arguments, BY_TIMEOUT, Error, Job, JobState, LogCollection, OnTimeout, RunId, RunInfo, Schedule, Store,
    Work,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the daemon looks at schedules and runs, at least.
const TICK: Duration = Duration::from_secs(1);
/// Signals within this time are one request to stop.
const SAME_REQUEST: Duration = Duration::from_secs(1);
/// Limit on the approvals that one look answers by their time-out.
const TIMED_OUT_AT_ONCE: u32 = 1000;

/// How a daemon works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This program; it is started for every run.
    pub program: PathBuf,
    /// Limit on the runs at the same time.
    pub most_runs: usize,
    /// Bytes of the disk that stay free: with less, runs pause.
    pub keep_free: u64,
    /// How long runs may take to finish their step when the daemon stops.
    pub stop_within: Duration,
    /// A run's process that reports nothing for this long hangs: it is killed and started again.
    pub hung_after: Duration,
}

/// What the daemon needs of the program that it is a part of.
#[async_trait]
pub trait Host: Send + Sync {
    /// Tells the person who watches, if somebody does.
    fn say(&self, line: &str);

    /// An id for a run that is due now.
    fn new_run(&self) -> RunId;

    /// Why a run ended or paused, in words; `None` where its log does not say.
    async fn reason(&self, store: &Store, run: &RunId) -> Option<String>;

    /// Whether the log of a run that is over says that it failed, rather than that it came to its end.
    async fn has_failed(&self, store: &Store, run: &RunId) -> bool;

    /// Removes runs and blobs that nothing needs. Returns what was removed, in words; `None` where a run is being written.
    ///
    /// # Errors
    /// Why they could not be removed.
    async fn collect_logs(&self, store: &Store, collection: LogCollection) -> Result<Option<String>, String>;

    /// Tells the people whom an agent file names that a run was given up. Must not wait for them.
    async fn gave_up(&self, store: &Store, schedule: &Schedule, run: &RunId, why: &str);
}

/// The daemon of a home.
pub struct Daemon {
    settings: Settings,
    store: Store,
    host: Arc<dyn Host>,
    children: Children,
    collecting: Option<Collecting>,
    vitals: Vitals,
    disk: disk::DiskGuard,
    recorder: Recorder,
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Daemon {
    /// A daemon for the home of `store`. The caller holds the home's [`DaemonLock`](crate::DaemonLock).
    pub fn new(settings: Settings, store: Store, host: Arc<dyn Host>, vitals: Vitals) -> Self {
        let children = Children::new(Arc::clone(&host));
        let recorder = Recorder::new(store.clone(), Arc::clone(&host));
        let disk = disk::DiskGuard::default();
        Self { settings, store, host, children, collecting: None, vitals, disk, recorder }
    }

    /// Works until SIGTERM or Ctrl-C, then stops the runs and returns. `courier` delivers messages meanwhile.
    ///
    /// # Errors
    /// The home cannot be read or written, other than for a moment.
    pub async fn run(mut self, courier: Courier) -> Result<(), Error> {
        let io = |source| Error::Io { path: "the signals of this process".into(), source };
        let mut terminations = signal(SignalKind::terminate()).map_err(io)?;
        let mut interrupts = signal(SignalKind::interrupt()).map_err(io)?;
        let mut reloads = signal(SignalKind::hangup()).map_err(io)?;
        let mut exits = signal(SignalKind::child()).map_err(io)?;
        let courier = tokio::spawn(courier.run());
        let schedules = self.store.schedules().await?.len();
        self.host.say(&format!(
            "serving `{}`: {schedules} schedule{}; Ctrl-C stops it",
            self.store.home().display(),
            if schedules == 1 { "" } else { "s" }
        ));
        loop {
            // A home that is locked or full for a moment is no reason to leave the runs alone.
            match self.look().await {
                Ok(()) => self.vitals.looked(now_ms()),
                Err(error @ (Error::Busy | Error::DiskFull)) => {
                    self.host.say(&format!("{error}; trying again"));
                }
                Err(error) => {
                    courier.abort();
                    self.stop(&mut interrupts, &mut terminations).await;
                    return Err(error);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                _ = exits.recv() => {}
                _ = reloads.recv() => self.reload().await,
                _ = terminations.recv() => break,
                _ = interrupts.recv() => break,
            }
        }
        courier.abort();
        self.stop(&mut interrupts, &mut terminations).await;
        Ok(())
    }

    async fn reload(&mut self) {
        self.recorder.try_all_again();
        match self.store.schedules().await {
            Ok(schedules) => self.host.say(&format!("read the schedules again: {}", schedules.len())),
            Err(error) => self.host.say(&format!("cannot read the schedules again: {error}")),
        }
    }

    /// The run, once its process has written the first record.
    pub(super) async fn begun(&self, run: &RunId) -> Result<Option<RunInfo>, Error> {
        match self.store.run(run.as_str()).await {
            Ok(info) => Ok(Some(info)),
            Err(Error::NoSuchRun { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Settles ended processes, records due times, and starts the runs that may start. Runs at least once a second.
    async fn look(&mut self) -> Result<(), Error> {
        let now_ms = now_ms();
        if self.settle_collection(Duration::ZERO, now_ms).await? {
            return Ok(());
        }
        self.settle_exits(now_ms).await?;
        if let Some(killed) = kill_hung(&mut self.children, &self.store, self.settings.hung_after).await? {
            self.host.say(&killed);
        }
        time_out_approvals(&self.store, self.host.as_ref(), now_ms).await?;
        let schedules = self.store.schedules().await?;
        let open = self.store.open_jobs().await?;
        for schedule in &schedules {
            self.recorder.record(schedule, &open, now_ms).await?;
        }
        // Where the system cannot say how much is free, runs are not paused.
        let free = disk::free(self.store.home()).unwrap_or(u64::MAX);
        let was_low = self.vitals.disk_is_low();
        let is_low = self.disk.look(free, self.settings.keep_free);
        self.vitals.disk(free, is_low);
        if is_low {
            if !was_low {
                self.host.say(&format!(
                    "pausing all runs: {} MB of the disk are free, and {} MB must stay free",
                    free / 1_000_000,
                    self.settings.keep_free / 1_000_000
                ));
            }
            self.children.terminate();
            return Ok(());
        }
        if was_low {
            self.host.say("there is room on the disk again: the runs go on");
        }
        self.start(now_ms).await
    }

    /// Starts what can be started.
    async fn start(&mut self, now_ms: i64) -> Result<(), Error> {
        let open = self.store.open_jobs().await?;
        if self.collect_logs(&open, now_ms).await? {
            return Ok(());
        }
        for job in &open {
            if self.children.len() >= self.settings.most_runs {
                break;
            }
            if self.children.has(job.no) || job.not_before_ms > now_ms {
                continue;
            }
            // A process that a killed daemon left behind finishes its step first.
            if self.store.is_live(&job.run).await? {
                continue;
            }
            let schedule = self.store.schedule_by_number(job.schedule).await?;
            let Work::Run { agent, arguments, .. } = &schedule.settings.work else { continue };
            if job.state == JobState::Due && !may_begin(job, &schedule, &open) {
                continue;
            }
            if job.state == JobState::Waiting
                && !self.store.approvals(Some(&job.run), false, 1).await?.is_empty()
            {
                continue;
            }
            self.start_one(job, &schedule, (agent, arguments), now_ms).await?;
        }
        Ok(())
    }

    async fn start_one(
        &mut self,
        job: &Job,
        schedule: &Schedule,
        (agent, arguments): (&str, &Arguments),
        now_ms: i64,
    ) -> Result<(), Error> {
        let begun = self.begun(&job.run).await?.is_some();
        if !self.store.start_job(job.no, now_ms).await? {
            return Ok(());
        }
        let start = Start {
            program: &self.settings.program,
            home: self.store.home(),
            agent,
            arguments,
            run: &job.run,
            begun,
            name: &schedule.settings.name,
            variables: &[],
        };
        if let Err(error) = self.children.start(job.no, &start) {
            let why = format!("cannot start `{}`: {error}", self.settings.program.display());
            self.died(job, schedule, &why, now_ms).await?;
        }
        Ok(())
    }

    /// Stops the runs: each finishes its step. Those that take too long, or are still there when the user asks again, are killed
    /// and lose at most their last records.
    async fn stop(&mut self, interrupts: &mut Signal, terminations: &mut Signal) {
        if self.settle_collection(self.settings.stop_within, now_ms()).await.unwrap_or(true) {
            self.abort_collection();
        }
        if self.children.len() > 0 {
            self.host.say(&format!("stopping {} after their steps", counted(self.children.len())));
        }
        self.children.terminate();
        let since = Instant::now();
        while self.children.len() > 0 && since.elapsed() < self.settings.stop_within {
            self.children.forget_exited();
            let asked = tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(50)) => false,
                _ = interrupts.recv() => true,
                _ = terminations.recv() => true,
            };
            // A terminal or a service manager may signal more than once for one request.
            if asked && since.elapsed() > SAME_REQUEST {
                break;
            }
        }
        if self.children.len() > 0 {
            self.host.say(&format!("killing {} that did not stop", counted(self.children.len())));
            self.children.kill().await;
        }
    }
}

/// Kills the processes that have reported nothing for too long; says which. Their runs are resumed as after any death.
pub(crate) async fn kill_hung(
    children: &mut Children,
    store: &Store,
    hung_after: Duration,
) -> Result<Option<String>, Error> {
    if children.len() == 0 {
        return Ok(None);
    }
    let beats = store.heartbeats().await?;
    let beat = |run: &RunId| beats.iter().find(|beat| beat.run == *run).map(|beat| beat.at_ms);
    let line = |(name, run): (String, RunId)| {
        format!(
            "[{name}] the process of run `{run}` has reported nothing for {} s: killing it",
            hung_after.as_secs()
        )
    };
    let killed: Vec<String> = children.kill_silent(hung_after, beat).into_iter().map(line).collect();
    Ok((!killed.is_empty()).then(|| killed.join("\n")))
}

/// Answers the approvals whose time is over as their agent files say.
pub(crate) async fn time_out_approvals(store: &Store, host: &dyn Host, now_ms: i64) -> Result<(), Error> {
    for approval in store.expired_approvals(now_ms, TIMED_OUT_AT_ONCE).await? {
        let granted = approval.asked.on_timeout == OnTimeout::Allow;
        if store.answer_approval(&approval.id, granted, BY_TIMEOUT, now_ms).await? {
            let answer = if granted { "allowed" } else { "denied" };
            host.say(&format!("approval {} was {answer} by its time-out", approval.id));
        }
    }
    Ok(())
}

fn counted(runs: usize) -> String {
    if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") }
}
