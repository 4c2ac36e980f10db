//! Reports how far a run is, for `sojourn ps` and the daemon's metrics.

use crate::progress::{self, Progress};
use sojourn_memory::{Heartbeat, RunId, Store};
use sojourn_service::live::Report;
use sojourn_service::now_ms;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How often a run reports.
const EVERY: Duration = Duration::from_secs(5);
/// Steps per second are those of this time.
const WINDOW: Duration = Duration::from_mins(1);

/// Reports a run until it is stopped.
pub struct Heart {
    store: Store,
    run: RunId,
    beating: JoinHandle<()>,
}

impl Heart {
    /// Begins to report. `about` names agent file, environment and model, and without `progress` says what the process does.
    pub fn begin(store: &Store, run: &RunId, progress: Option<Arc<Progress>>, about: Report) -> Self {
        let beating = tokio::spawn(beat(store.clone(), run.clone(), progress, about));
        Self { store: store.clone(), run: run.clone(), beating }
    }

    /// Ends the reports.
    pub async fn stop(self) {
        self.beating.abort();
        if let Err(error) = self.store.end_beats(&self.run).await {
            tracing::debug!(%error, "cannot end the reports of a run");
        }
    }
}

async fn beat(store: Store, run: RunId, progress: Option<Arc<Progress>>, about: Report) {
    let mut samples: VecDeque<(Instant, u64)> = VecDeque::new();
    loop {
        let report = if let Some(progress) = &progress {
            let stats = progress.stats();
            let now = Instant::now();
            while samples.len() > 1 && samples.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW)
            {
                samples.pop_front();
            }
            samples.push_back((now, stats.steps));
            let (since, before) = samples.front().copied().unwrap_or((now, stats.steps));
            let seconds = now.duration_since(since).as_secs_f64();
            let steps_per_second =
                if seconds > 0.0 { stats.steps.saturating_sub(before) as f64 / seconds } else { 0.0 };
            Report {
                steps: stats.steps,
                steps_per_second,
                tokens: stats.generated.0,
                tokens_per_second: stats.tokens_per_second().unwrap_or(0.0),
                episodes: stats.episodes.len(),
                task: progress::busy_with(&stats),
                ..about.clone()
            }
        } else {
            about.clone()
        };
        let report = serde_json::to_value(report).unwrap_or_default();
        let beat = Heartbeat { run: run.clone(), process: std::process::id(), at_ms: now_ms(), report };
        if let Err(error) = store.beat(&beat).await {
            tracing::debug!(%error, "cannot report how far a run is");
        }
        tokio::time::sleep(EVERY).await;
    }
}
