//! The daemon of a store that several machines share: it records due times and puts their runs into the queue, and workers carry them out.
//!
//! Any number of schedulers may serve one store, on any machines. A due time is recorded by one of them, in one transaction; its run is put
//! into the queue under the id that the due time was recorded with, so it is not put there twice; and the scheduler that holds the due
//! time then reports its outcome. Times are the server's.

use crate::Host;
use crate::daemon::{now_ms, time_out_approvals};
use crate::disk;
use crate::metrics::Vitals;
use crate::recorder::{Recorder, may_begin};
use crate::timing;
use sojourn_memory::{Error, Job, JobState, QueueState, QueuedRun, Schedule, Store, Submission, Work};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The longest pause between two looks: schedules that people add, and runs that end, are seen by then.
const LOOK: Duration = Duration::from_secs(5);
/// The pause after a server could not be reached.
const RETRY: Duration = Duration::from_secs(1);
/// How long a due time belongs to the scheduler that tells of its end, in milliseconds.
const HOLD_MS: i64 = 60_000;

/// Why a schedule cannot be put into the queue.
const NO_TEXT: &str =
    "its agent file is not in the store: remove the schedule, and add it again with `--store`";
const NO_COLLECTION: &str = "logs of a server are collected by `sojourn log gc`";

/// A scheduler of a server's store.
pub struct Scheduler {
    store: Store,
    host: Arc<dyn Host>,
    vitals: Vitals,
    recorder: Recorder,
}

impl Scheduler {
    /// A scheduler for the schedules of `store`.
    pub fn new(store: Store, host: Arc<dyn Host>, vitals: Vitals) -> Self {
        let recorder = Recorder::new(store.clone(), Arc::clone(&host));
        Self { store, host, vitals, recorder }
    }

    /// Works until SIGTERM or Ctrl-C. The runs go on.
    ///
    /// # Errors
    /// The store cannot be used. A server that cannot be reached is waited for.
    pub async fn run(mut self) -> Result<(), Error> {
        let io = |source| Error::Io { path: "the signals of this process".into(), source };
        let mut terminations = signal(SignalKind::terminate()).map_err(io)?;
        let mut interrupts = signal(SignalKind::interrupt()).map_err(io)?;
        let mut reloads = signal(SignalKind::hangup()).map_err(io)?;
        let schedules = self.store.schedules().await?.len();
        self.host.say(&format!(
            "serving the store: {schedules} schedule{}; workers carry the runs out; Ctrl-C stops it",
            if schedules == 1 { "" } else { "s" }
        ));
        loop {
            let pause = match self.look().await {
                Ok(pause) => {
                    self.vitals.looked(now_ms());
                    self.vitals.disk(disk::free(self.store.home()).unwrap_or(0), false);
                    pause
                }
                Err(error @ (Error::Unreachable(_) | Error::Busy | Error::DiskFull)) => {
                    self.host.say(&format!("{error}; trying again"));
                    RETRY
                }
                Err(error) => return Err(error),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = reloads.recv() => self.recorder.try_all_again(),
                _ = terminations.recv() => break,
                _ = interrupts.recv() => break,
            }
        }
        Ok(())
    }

    /// Records what is due, puts runs into the queue, and settles those that have ended. Returns when to look again at the latest.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn look(&mut self) -> Result<Duration, Error> {
        let now_ms = self.store.clock_ms().await?;
        time_out_approvals(&self.store, self.host.as_ref(), now_ms).await?;
        let schedules = self.store.schedules().await?;
        let open = self.store.open_jobs().await?;
        for schedule in &schedules {
            self.recorder.record(schedule, &open, now_ms).await?;
        }
        let open = self.store.open_jobs().await?;
        for job in &open {
            let schedule = self.store.schedule_by_number(job.schedule).await?;
            match self.store.queued_run(&job.run).await? {
                Some(queued) => self.follow(job, &schedule, &queued, now_ms).await?,
                None if job.state != JobState::Due || may_begin(job, &schedule, &open) => {
                    self.submit(job, &schedule, now_ms).await?;
                }
                None => {}
            }
        }
        Ok(until_next(&schedules, now_ms).min(LOOK))
    }

    /// Puts the run of a due time into the queue. Another scheduler may do the same at this moment.
    async fn submit(&self, job: &Job, schedule: &Schedule, now_ms: i64) -> Result<(), Error> {
        let Work::Run { agent, arguments, queue } = &schedule.settings.work else {
            return self.store.note_job(job.no, NO_COLLECTION).await;
        };
        let Some(queue) = queue else { return self.store.note_job(job.no, NO_TEXT).await };
        let submission = Submission {
            run: job.run.clone(),
            path: agent.clone(),
            agent: queue.agent.clone(),
            arguments: arguments.clone(),
            labels: queue.labels.clone(),
            submitted_ms: now_ms,
        };
        if self.store.submit_job(job.no, &submission).await? {
            self.host.say(&format!("[{}] run `{}` waits for a worker", schedule.settings.name, job.run));
        }
        Ok(())
    }

    /// Notes what has become of a run in the queue.
    async fn follow(
        &self,
        job: &Job,
        schedule: &Schedule,
        queued: &QueuedRun,
        now_ms: i64,
    ) -> Result<(), Error> {
        let why = queued.why.clone().unwrap_or_default();
        let state = match queued.state {
            QueueState::Queued | QueueState::Running => return self.store.job_runs(job.no).await,
            QueueState::Waiting => return self.store.job_waits(job.no, &why).await,
            QueueState::Finished => JobState::Finished,
            QueueState::Paused => JobState::Paused,
            QueueState::Failed => JobState::Failed,
            QueueState::Cancelled => JobState::Cancelled,
        };
        if !self.store.hold_job(job.no, now_ms, HOLD_MS).await? {
            return Ok(());
        }
        // The message to people comes first: if this scheduler dies in between, another one sends it again.
        self.host.say(&format!("[{}] run `{}` {}: {why}", schedule.settings.name, job.run, state.as_str()));
        if state == JobState::Failed {
            self.host.gave_up(&self.store, schedule, &job.run, &why).await;
        }
        self.store.end_job(job.no, state, &why, now_ms).await
    }
}

/// How long it takes until something is due.
fn until_next(schedules: &[Schedule], now_ms: i64) -> Duration {
    let next = schedules.iter().filter(|schedule| !schedule.paused).filter_map(|schedule| {
        timing::next(&schedule.settings.timing, schedule.settings.created_ms, schedule.seen_ms).ok().flatten()
    });
    let wait =
        next.filter(|next| *next > now_ms).min().map(|next| next.saturating_sub(now_ms).unsigned_abs());
    wait.map_or(LOOK, Duration::from_millis)
}
