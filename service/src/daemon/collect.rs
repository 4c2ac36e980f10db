//! Collections of logs by schedule. They have the home to themselves: no run is written meanwhile, and none is started.

use super::Daemon;
use crate::live::live_runs;
use sojourn_memory::{Error, Job, JobState, Work};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// What a collection that cannot begin waits for.
const WAITS: &str = "waits until no run is under way";

/// A collection of logs that is under way.
pub(super) struct Collecting {
    job: i64,
    name: String,
    task: JoinHandle<Result<Option<String>, String>>,
}

impl Daemon {
    /// Begins the collection that is due, if no run is under way. Returns whether no run may be started now.
    pub(super) async fn collect_logs(&mut self, open: &[Job], now_ms: i64) -> Result<bool, Error> {
        for job in open {
            let schedule = self.store.schedule_by_number(job.schedule).await?;
            let Work::CollectLogs(collection) = schedule.settings.work else { continue };
            if job.not_before_ms > now_ms {
                continue;
            }
            // A run that a person started is not the daemon's to pause.
            let is_foreign =
                live_runs(&self.store).await?.iter().any(|live| !self.children.writes(&live.run));
            if is_foreign || self.children.len() > 0 {
                self.store.note_job(job.no, WAITS).await?;
                if is_foreign || !collection.pause_runs {
                    continue;
                }
                self.children.terminate();
                return Ok(true);
            }
            if !self.store.start_job(job.no, now_ms).await? {
                continue;
            }
            let name = schedule.settings.name;
            self.host.say(&format!("[{name}] removing what no longer needs to be kept; runs wait for it"));
            let (host, store) = (Arc::clone(&self.host), self.store.clone());
            let task = tokio::spawn(async move { host.collect_logs(&store, collection).await });
            self.collecting = Some(Collecting { job: job.no, name, task });
            return Ok(true);
        }
        Ok(false)
    }

    /// Settles the collection under way if it has ended, or does within `patience`. Returns whether it goes on.
    pub(super) async fn settle_collection(&mut self, patience: Duration, now_ms: i64) -> Result<bool, Error> {
        let Some(collecting) = &mut self.collecting else { return Ok(false) };
        let Ok(ended) = tokio::time::timeout(patience, &mut collecting.task).await else { return Ok(true) };
        let Some(Collecting { job, name, .. }) = self.collecting.take() else { return Ok(false) };
        let (state, why) = match ended {
            Ok(Ok(Some(done))) => (JobState::Finished, done),
            // A run was started by hand in the meantime.
            Ok(Ok(None)) => {
                self.store.note_job(job, WAITS).await?;
                return Ok(false);
            }
            Ok(Err(fault)) => (JobState::Failed, fault),
            Err(fault) => (JobState::Failed, fault.to_string()),
        };
        self.host.say(&format!("[{name}] {}: {why}", state.as_str()));
        self.store.end_job(job, state, &why, now_ms).await?;
        Ok(false)
    }

    /// Gives up on the collection under way. What it has removed stays removed; the next daemon begins it again.
    pub(super) fn abort_collection(&mut self) {
        if let Some(collecting) = self.collecting.take() {
            collecting.task.abort();
        }
    }
}
