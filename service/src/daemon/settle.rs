//! What follows the end of a run's process.

use super::Daemon;
use crate::children::Exited;
use sojourn_memory::{Error, EventSeq, Job, JobState, RunStatus, Schedule};
use std::os::unix::process::ExitStatusExt as _;

/// Deaths in a row without a new record after which a run is given up.
pub(crate) const DEATHS: u32 = 3;
/// The pause before a run is started again doubles with each such death.
pub(crate) const FIRST_PAUSE_MS: i64 = 1000;
/// The exit code of a run that a person or a signal stopped.
pub(crate) const INTERRUPTED: i32 = 130;
/// The exit code of a run that is paused until a person answers.
pub const WAITING: i32 = 75;
/// The exit code of a run whose store could not be used.
pub const UNAVAILABLE: i32 = 69;
/// The exit code of a Rust program that panicked, and that of a run that failed: both may go well the next time.
pub(crate) const PANICKED: i32 = 101;
pub(crate) const FAILED: i32 = 1;

impl Daemon {
    pub(super) async fn settle_exits(&mut self, now_ms: i64) -> Result<(), Error> {
        for exited in self.children.exited() {
            let Some(job) = self.store.open_jobs().await?.into_iter().find(|job| job.no == exited.job) else {
                continue;
            };
            let schedule = self.store.schedule_by_number(job.schedule).await?;
            self.settle(&job, &schedule, &exited, now_ms).await?;
        }
        Ok(())
    }

    async fn settle(
        &mut self,
        job: &Job,
        schedule: &Schedule,
        exited: &Exited,
        now_ms: i64,
    ) -> Result<(), Error> {
        let name = &schedule.settings.name;
        let status = self.begun(&job.run).await?.map(|info| info.status);
        let (state, why) = match exited.status.code() {
            // It finished its step, or had not begun: it goes on when it may.
            Some(INTERRUPTED | WAITING) | None if exited.stopping => return Ok(()),
            Some(WAITING) => {
                self.host.say(&format!(
                    "[{name}] run `{}` waits for an approval: `sojourn approvals list`",
                    job.run
                ));
                return self.store.job_waits(job.no, "it waits for an approval").await;
            }
            Some(INTERRUPTED) => (JobState::Paused, Some("somebody stopped its process".to_owned())),
            Some(0) => (JobState::Finished, self.host.reason(&self.store, &job.run).await),
            Some(FAILED) if status == Some(RunStatus::Paused) => {
                (JobState::Paused, self.host.reason(&self.store, &job.run).await)
            }
            // Of a run that came to its end, the process that follows does what this one did not.
            Some(FAILED)
                if status == Some(RunStatus::Finished)
                    && self.host.has_failed(&self.store, &job.run).await =>
            {
                (JobState::Failed, self.host.reason(&self.store, &job.run).await)
            }
            Some(FAILED | PANICKED | UNAVAILABLE) | None => {
                return self.died(job, schedule, &how(exited), now_ms).await;
            }
            Some(code) => {
                // The command line or the agent file is wrong: another attempt would say the same.
                (JobState::Failed, Some(said(exited, &format!("its process ended with exit code {code}"))))
            }
        };
        let why = why.unwrap_or_default();
        self.host.say(&format!("[{name}] run `{}` {}: {why}", job.run, state.as_str()));
        // People are told first: a daemon that dies in between tells them twice, and never not at all.
        if state == JobState::Failed {
            self.host.gave_up(&self.store, schedule, &job.run, &why).await;
        }
        self.store.end_job(job.no, state, &why, now_ms).await
    }

    /// A process ended before its run did: the run is started again after a pause, or given up.
    pub(super) async fn died(
        &self,
        job: &Job,
        schedule: &Schedule,
        how: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        let name = &schedule.settings.name;
        let last_seq = self.begun(&job.run).await?.map_or(EventSeq(0), |info| info.last_seq);
        let deaths =
            if job.deaths > 0 && job.last_seq == last_seq { job.deaths.saturating_add(1) } else { 1 };
        if deaths >= DEATHS {
            let why = format!(
                "gave up: its process died {DEATHS} times after record {last_seq}; the last time {how}"
            );
            self.host.say(&format!("[{name}] run `{}`: {why}", job.run));
            self.host.gave_up(&self.store, schedule, &job.run, &why).await;
            return self.store.end_job(job.no, JobState::Failed, &why, now_ms).await;
        }
        let pause_ms = FIRST_PAUSE_MS << (deaths - 1);
        self.host.say(&format!(
            "[{name}] the process of run `{}` died after record {last_seq}: {how}; starting it again in {} s",
            job.run,
            pause_ms / 1000
        ));
        self.store.job_died(job.no, (deaths, last_seq), now_ms.saturating_add(pause_ms), how).await
    }
}

/// How a process died.
pub(crate) fn how(exited: &Exited) -> String {
    match exited.status.signal() {
        Some(9) => "it was killed (by a user, or because memory ran out)".to_owned(),
        Some(signal) => format!("it was ended by signal {signal}"),
        None => said(exited, "it failed"),
    }
}

/// What a process said last, else `otherwise`.
pub(crate) fn said(exited: &Exited, otherwise: &str) -> String {
    if exited.last_words.is_empty() { otherwise.to_owned() } else { exited.last_words.clone() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::daemon::Settings;
    use crate::metrics::Vitals;
    use crate::{Host, now_ms};
    use async_trait::async_trait;
    use serde_json::json;
    use sojourn_memory::{
        Arguments, Due, LogCollection, Missed, NewRun, NewSchedule, Overlap, RunId, Store, Timing, Work,
    };
    use std::process::ExitStatus;
    use std::sync::Arc;
    use std::time::Duration;

    /// Says of every run whether it failed.
    pub(crate) struct Judge(pub bool);

    #[async_trait]
    impl Host for Judge {
        fn say(&self, _line: &str) {}

        fn new_run(&self) -> RunId {
            RunId::new(0, 0)
        }

        async fn reason(&self, _store: &Store, _run: &RunId) -> Option<String> {
            Some("the step budget is used up".to_owned())
        }

        async fn has_failed(&self, _store: &Store, _run: &RunId) -> bool {
            self.0
        }

        async fn collect_logs(
            &self,
            _store: &Store,
            _collection: LogCollection,
        ) -> Result<Option<String>, String> {
            Ok(None)
        }

        async fn gave_up(&self, _store: &Store, _schedule: &Schedule, _run: &RunId, _why: &str) {}
    }

    /// Settles the job of a run that is over in its log, and whose process failed.
    async fn after_a_failed_process(has_failed: bool) -> Option<Job> {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).await.unwrap();
        let run = RunId::new(now_ms(), 1);
        let mut writer = store.create_run(NewRun::new(run.clone(), "crafter", "model")).await.unwrap();
        writer.append("finish", 1, json!({}), vec![]).await.unwrap();
        writer.close(RunStatus::Finished).await.unwrap();
        let schedule = NewSchedule {
            name: "life".to_owned(),
            work: Work::Run { agent: "agent.toml".to_owned(), arguments: Arguments::default(), queue: None },
            timing: Timing::EveryMs(1000),
            missed: Missed::Run,
            overlap: Overlap::Refuse,
            created_ms: 0,
        };
        let schedule = store.add_schedule(schedule).await.unwrap();
        let due = Due { due_ms: 1000, missed: 0, run, state: JobState::Due, why: None };
        store.record_due(&schedule, 1000, &[due], 1000).await.unwrap();
        let job = store.open_jobs().await.unwrap().remove(0);
        let settings = Settings {
            program: "sojourn".into(),
            most_runs: 1,
            keep_free: 0,
            stop_within: Duration::ZERO,
            hung_after: Duration::MAX,
        };
        let mut daemon = Daemon::new(settings, store.clone(), Arc::new(Judge(has_failed)), Vitals::new());
        let status = ExitStatus::from_raw(FAILED << 8);
        let exited = Exited { job: job.no, status, stopping: false, last_words: "no connection".to_owned() };
        daemon.settle(&job, &schedule, &exited, 2000).await.unwrap();
        store.open_jobs().await.unwrap().pop()
    }

    #[tokio::test]
    async fn a_run_that_came_to_its_end_has_not_failed_because_its_process_did_afterwards() {
        let job = after_a_failed_process(false).await.expect("a process does what that one did not");
        assert_eq!((job.deaths, job.why.as_deref()), (1, Some("no connection")));
        assert_eq!(after_a_failed_process(true).await, None, "its log says that it failed");
    }
}
