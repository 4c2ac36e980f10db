//! A worker: claims runs of a queue that several machines share, carries each out in a process, and gives them back.
//!
//! The worker itself has no state. A claim is in the server before its process starts, and what came of it after the process ended. A
//! worker that dies, is stopped or is cut off loses its claims by time; whoever claims one of its runs fences the process that
//! still writes it, so the log has one writer at any moment. See `sojourn_memory`'s queue.

use crate::Host;
use crate::children::{Children, Exited, Start};
use crate::daemon::settle::{
    DEATHS, FAILED, FIRST_PAUSE_MS, INTERRUPTED, PANICKED, UNAVAILABLE, WAITING, how, said,
};
use crate::daemon::{kill_hung, now_ms, time_out_approvals};
use sojourn_memory::{Error, EventSeq, QueueState, QueuedRun, RunId, RunInfo, RunStatus, Store};
use sojourn_primitives::create_private_dir;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// How often claims are renewed: several times before one ends.
const RENEWAL: Duration = Duration::from_secs(3);
/// How often a worker without a run looks, although nothing rang.
const IDLE: Duration = Duration::from_secs(30);
/// The pause before a run is claimed again whose process could not use the store.
const AWAY: Duration = Duration::from_secs(2);
/// The pause after a server could not be reached.
const RETRY: Duration = Duration::from_secs(1);

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// This program; it is started for every run.
    pub program: PathBuf,
    /// The worker's name, among those of all machines.
    pub name: String,
    /// What it has: runs that need other labels are left to others.
    pub labels: Vec<String>,
    /// Limit on the runs at the same time.
    pub most_runs: usize,
    /// How long runs may take to finish their step when the worker stops.
    pub stop_within: Duration,
    /// A run's process that reports nothing for this long hangs: it is killed, and some worker starts it again.
    pub hung_after: Duration,
    /// Variables of the processes: where the store is, and whose they are.
    pub variables: Vec<(&'static str, String)>,
}

/// A worker of a server's queue.
pub struct Worker {
    settings: WorkerSettings,
    store: Store,
    host: Arc<dyn Host>,
    /// By the number of their run in the queue.
    children: Children,
    claims: BTreeMap<i64, QueuedRun>,
    /// Processes that have ended, and whose runs are not given back yet.
    unsettled: Vec<Exited>,
}

impl Worker {
    /// A worker for the queue of `store`.
    pub fn new(settings: WorkerSettings, store: Store, host: Arc<dyn Host>) -> Self {
        let children = Children::new(Arc::clone(&host));
        Self { settings, store, host, children, claims: BTreeMap::new(), unsettled: Vec::new() }
    }

    /// Works until SIGTERM or Ctrl-C, then stops the runs, gives them back and returns.
    ///
    /// # Errors
    /// The store cannot be used. A server that cannot be reached is waited for.
    pub async fn run(mut self) -> Result<(), Error> {
        let io = |source| Error::Io { path: "the signals of this process".into(), source };
        let mut terminations = signal(SignalKind::terminate()).map_err(io)?;
        let mut interrupts = signal(SignalKind::interrupt()).map_err(io)?;
        let mut exits = signal(SignalKind::child()).map_err(io)?;
        let mut bell = self.store.queue_bell().await?;
        let labels = self.settings.labels.join(", ");
        let with = if labels.is_empty() { String::new() } else { format!(" with {labels}") };
        self.host.say(&format!("worker `{}`{with} waits for runs; Ctrl-C stops it", self.settings.name));
        loop {
            let pause = match self.look().await {
                Ok(pause) => pause,
                Err(error @ (Error::Unreachable(_) | Error::Busy | Error::DiskFull)) => {
                    self.host.say(&format!("{error}; trying again"));
                    RETRY
                }
                Err(error) => {
                    self.stop().await;
                    return Err(error);
                }
            };
            let has_room = self.children.len() < self.settings.most_runs;
            tokio::select! {
                rung = bell.ring(), if has_room => if rung.is_err() {
                    tokio::time::sleep(RETRY).await;
                },
                () = tokio::time::sleep(pause) => {}
                _ = exits.recv() => {}
                _ = terminations.recv() => break,
                _ = interrupts.recv() => break,
            }
        }
        self.stop().await;
        Ok(())
    }

    /// Gives back the runs of ended processes, renews claims, and claims and starts what there is room for. Returns when to look again
    /// at the latest.
    async fn look(&mut self) -> Result<Duration, Error> {
        let now_ms = now_ms();
        self.settle_exits(now_ms).await?;
        self.renew().await?;
        if let Some(killed) = kill_hung(&mut self.children, &self.store, self.settings.hung_after).await? {
            self.host.say(&killed);
        }
        time_out_approvals(&self.store, self.host.as_ref(), now_ms).await?;
        while self.children.len() < self.settings.most_runs {
            let claimed = self.store.claim(&self.settings.name, &self.settings.labels, now_ms).await?;
            let Some(claimed) = claimed else {
                let next = self.store.next_claim().await?.unwrap_or(IDLE);
                let longest = if self.claims.is_empty() { IDLE } else { RENEWAL };
                // A moment later than the server says, so that one look is enough.
                return Ok((next + Duration::from_millis(20)).min(longest));
            };
            self.start(claimed, now_ms).await?;
        }
        Ok(RENEWAL)
    }

    async fn renew(&mut self) -> Result<(), Error> {
        let held: Vec<(i64, i64)> = self.claims.values().map(|run| (run.no, run.claim)).collect();
        for (no, claim) in held {
            if self.store.renew_claim(no, claim).await? {
                continue;
            }
            // Whoever has it now has fenced the process.
            self.children.kill_one(no).await;
            if let Some(run) = self.claims.remove(&no) {
                self.host.say(&format!("run `{}` was taken from this worker", run.submission.run));
            }
        }
        Ok(())
    }

    async fn start(&mut self, claimed: QueuedRun, now_ms: i64) -> Result<(), Error> {
        let run = claimed.submission.run.clone();
        // Of an earlier claim of the same run, which ended unnoticed while this worker was stopped.
        self.children.kill_one(claimed.no).await;
        let begun = self.begun(&claimed).await?.is_some_and(|info| info.last_seq > EventSeq(0));
        let started = match self.agent(&claimed).await {
            Ok(agent) => self.children.start(
                claimed.no,
                &Start {
                    program: &self.settings.program,
                    home: self.store.home(),
                    agent: &agent.to_string_lossy(),
                    arguments: &claimed.submission.arguments,
                    run: &run,
                    begun,
                    name: run.as_str(),
                    variables: &self.settings.variables,
                },
            ),
            Err(error) => Err(error),
        };
        self.host.say(&format!("[{run}] {}", if begun { "goes on here" } else { "begins here" }));
        match started {
            Ok(()) => drop(self.claims.insert(claimed.no, claimed)),
            Err(error) => self.died(&claimed, &format!("cannot start its process: {error}"), now_ms).await?,
        }
        Ok(())
    }

    /// The agent file of a run: that of the same path where this machine has it, else a copy in a directory of its own, because what
    /// it names by relative paths is looked for beside it.
    async fn agent(&self, claimed: &QueuedRun) -> std::io::Result<PathBuf> {
        let submission = &claimed.submission;
        let path = Path::new(&submission.path);
        if std::fs::read_to_string(path).is_ok_and(|text| text == submission.agent) {
            return Ok(path.to_owned());
        }
        let directory = self.copies(&submission.run).await?;
        create_private_dir(&directory)?;
        let copy = directory.join("agent.toml");
        std::fs::write(&copy, &submission.agent)?;
        Ok(copy)
    }

    /// The directory of the copy of a run's agent file.
    async fn copies(&self, run: &RunId) -> std::io::Result<PathBuf> {
        let derived = self.store.derived().await.map_err(std::io::Error::other)?;
        Ok(derived.join("agents").join(run.as_str()))
    }

    /// The run, once its process has written its row.
    async fn begun(&self, claimed: &QueuedRun) -> Result<Option<RunInfo>, Error> {
        match self.store.run(claimed.submission.run.as_str()).await {
            // An id may be the beginning of another.
            Ok(info) => Ok(Some(info).filter(|info| info.id == claimed.submission.run)),
            Err(Error::NoSuchRun { .. } | Error::AmbiguousRun { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn settle_exits(&mut self, now_ms: i64) -> Result<(), Error> {
        self.unsettled.extend(self.children.exited());
        while let Some(exited) = self.unsettled.pop() {
            let Some(claimed) = self.claims.get(&exited.job).cloned() else { continue };
            if let Err(error) = self.settle(&claimed, &exited, now_ms).await {
                self.unsettled.push(exited);
                return Err(error);
            }
            self.claims.remove(&claimed.no);
        }
        Ok(())
    }

    async fn settle(&self, claimed: &QueuedRun, exited: &Exited, now_ms: i64) -> Result<(), Error> {
        let run = &claimed.submission.run;
        let status = self.begun(claimed).await?.map(|info| info.status);
        let (state, why) = match exited.status.code() {
            // It finished its step, or had not begun: another worker goes on with it.
            Some(INTERRUPTED | WAITING) | None if exited.stopping => {
                (QueueState::Queued, Some("its worker was stopped".to_owned()))
            }
            Some(WAITING) => (QueueState::Waiting, Some("it waits for an approval".to_owned())),
            Some(INTERRUPTED) => (QueueState::Paused, Some("somebody stopped its process".to_owned())),
            Some(0) => (QueueState::Finished, self.host.reason(&self.store, run).await),
            Some(FAILED) if status == Some(RunStatus::Paused) => {
                (QueueState::Paused, self.host.reason(&self.store, run).await)
            }
            // Of a run that came to its end, the process that follows does what this one did not.
            Some(FAILED)
                if status == Some(RunStatus::Finished) && self.host.has_failed(&self.store, run).await =>
            {
                (QueueState::Failed, self.host.reason(&self.store, run).await)
            }
            // The run did not fail, and goes on when the server is there, at whatever worker reaches it.
            Some(UNAVAILABLE) => {
                let why = said(exited, "the store could not be used");
                return self.give_back(claimed, QueueState::Queued, &why, AWAY, now_ms).await;
            }
            Some(FAILED | PANICKED) | None => return self.died(claimed, &how(exited), now_ms).await,
            // The command line or the agent file is wrong: another attempt would say the same.
            Some(code) => {
                (QueueState::Failed, Some(said(exited, &format!("its process ended with exit code {code}"))))
            }
        };
        self.give_back(claimed, state, &why.unwrap_or_default(), Duration::ZERO, now_ms).await
    }

    /// The process of a run ended before the run did: some worker starts it again after a pause, or it is given up.
    async fn died(&self, claimed: &QueuedRun, how: &str, now_ms: i64) -> Result<(), Error> {
        let last_seq = self.begun(claimed).await?.map_or(EventSeq(0), |info| info.last_seq);
        let again = claimed.deaths > 0 && claimed.last_seq == last_seq;
        let deaths = if again { claimed.deaths.saturating_add(1) } else { 1 };
        self.store.note_death((claimed.no, claimed.claim), (deaths, last_seq)).await?;
        if deaths >= DEATHS {
            let why = format!(
                "gave up: its process died {DEATHS} times after record {last_seq}; the last time {how}"
            );
            return self.give_back(claimed, QueueState::Failed, &why, Duration::ZERO, now_ms).await;
        }
        let pause = Duration::from_millis((FIRST_PAUSE_MS << (deaths - 1)).unsigned_abs());
        let why = format!("its process died after record {last_seq}: {how}");
        self.give_back(claimed, QueueState::Queued, &why, pause, now_ms).await
    }

    async fn give_back(
        &self,
        claimed: &QueuedRun,
        state: QueueState,
        why: &str,
        pause: Duration,
        now_ms: i64,
    ) -> Result<(), Error> {
        let run = &claimed.submission.run;
        // Whoever claims the run next on this machine writes the copy again.
        if let Ok(copies) = self.copies(run).await {
            let _ = std::fs::remove_dir_all(copies);
        }
        if self.store.settle_claim((claimed.no, claimed.claim), state, why, pause, now_ms).await? {
            let end = if why.is_empty() { String::new() } else { format!(": {why}") };
            self.host.say(&format!("[{run}] {}{end}", state.as_str()));
        } else {
            self.host.say(&format!("[{run}] was taken from this worker"));
        }
        Ok(())
    }

    /// Stops the runs after their step and gives them back. Those that take too long are killed; another worker goes on from their last
    /// record.
    async fn stop(&mut self) {
        self.children.terminate();
        let since = Instant::now();
        while !self.claims.is_empty() && since.elapsed() < self.settings.stop_within {
            // What cannot be given back now is claimed by another worker after a while.
            let _ = self.settle_exits(now_ms()).await;
            let _ = self.renew().await;
            if !self.claims.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        self.children.kill().await;
        for claimed in std::mem::take(&mut self.claims).into_values() {
            let why = "its worker was stopped";
            let _ = self.give_back(&claimed, QueueState::Queued, why, Duration::ZERO, now_ms()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::settle::tests::Judge;
    use sojourn_memory::{Arguments, Owner, Server, Submission};
    use sojourn_testkit::Postgres;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    #[tokio::test]
    async fn a_run_is_not_given_up_because_its_server_was_away() {
        let Some(server) = Postgres::start() else { return };
        let address: Server = server.database("agents").parse().unwrap();
        let home = tempfile::tempdir().unwrap();
        let store = Store::connect(home.path(), &address, Owner::alone()).await.unwrap();
        let submission = Submission {
            run: RunId::new(now_ms(), 1),
            path: "/agent.toml".to_owned(),
            agent: String::new(),
            arguments: Arguments::default(),
            labels: vec![],
            submitted_ms: 1,
        };
        store.submit(&submission).await.unwrap();
        let settings = WorkerSettings {
            program: "sojourn".into(),
            name: "one".to_owned(),
            labels: vec![],
            most_runs: 1,
            stop_within: Duration::ZERO,
            hung_after: Duration::MAX,
            variables: vec![],
        };
        let worker = Worker::new(settings, store.clone(), Arc::new(Judge(false)));
        let ends_with = async |code: i32| {
            server.sql("agents", "UPDATE sojourn.queue SET not_before = '-infinity'");
            let claimed = store.claim("one", &[], 2).await.unwrap().expect("it waits");
            let status = ExitStatus::from_raw(code << 8);
            let exited = Exited { job: claimed.no, status, stopping: false, last_words: String::new() };
            worker.settle(&claimed, &exited, 3).await.unwrap();
            store.queued_run(&submission.run).await.unwrap().unwrap()
        };
        for _ in 0..=DEATHS {
            let queued = ends_with(UNAVAILABLE).await;
            assert_eq!((queued.state, queued.deaths), (QueueState::Queued, 0));
            assert_eq!(queued.why.as_deref(), Some("the store could not be used"));
        }
        for death in 1..DEATHS {
            let queued = ends_with(FAILED).await;
            assert_eq!((queued.state, queued.deaths), (QueueState::Queued, death));
        }
        assert_eq!(ends_with(FAILED).await.state, QueueState::Failed, "what fails each time is given up");
    }
}
