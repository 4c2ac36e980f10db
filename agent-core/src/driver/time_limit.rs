//! The end of a run's time, for effects that take long: requests to the controller, exploration, trials, and skills in the episode.
//!
//! The core decides about its budgets between two events only. An answer or a trial may take minutes, so the driver gives
//! such an effect up when the time is over. It then records `out_of_time` in place of the result, and the core ends the run.

use super::clock::{RecordIndex, TimeSource};
use super::executor::ExecutorError;
use super::observer::{LongWork, Notice, Observer, Silent};
use sojourn_controller::Cancel;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often a waiting effect looks at the clock, at least.
const LOOK: Duration = Duration::from_millis(250);

/// A skill that runs in the episode may take this much longer than the run's time, in milliseconds: an episode in which a skill
/// was cut off cannot be continued.
const GRACE_MS: i64 = 10_000;
/// How long a step may take after a person has stopped the run: its effect is real, and so is to be recorded.
pub(super) const LAST_STEP: Duration = Duration::from_secs(10);

/// The moment at which the run's time is over.
#[derive(Clone, Default)]
pub(super) enum TimeLimit {
    /// There is none: the run may take any time, or its records are replayed.
    #[default]
    None,
    /// When this clock has run for `running_ms` milliseconds.
    At { clock: Arc<dyn TimeSource>, running_ms: i64 },
    /// Where another log has a record that says so.
    Recorded { out_of_time: Arc<BTreeSet<usize>>, index: RecordIndex },
}

impl TimeLimit {
    /// Milliseconds that are left; `None` without a limit.
    pub(super) fn left_ms(&self) -> Option<i64> {
        match self {
            Self::At { clock, running_ms } => Some(running_ms.saturating_sub(clock.running_ms())),
            Self::Recorded { out_of_time, index } if out_of_time.contains(&index.now()) => Some(0),
            Self::None | Self::Recorded { .. } => None,
        }
    }

    /// The limit for what may take a little longer.
    pub(super) fn with_grace(self) -> Self {
        match self {
            Self::At { clock, running_ms } => {
                Self::At { clock, running_ms: running_ms.saturating_add(GRACE_MS) }
            }
            other => other,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.left_ms().is_some_and(|left| left <= 0)
    }

    /// Waits until the time is over.
    pub(super) async fn over(&self) {
        loop {
            match self.left_ms() {
                None => std::future::pending().await,
                Some(left) if left <= 0 => return,
                Some(left) => tokio::time::sleep(Duration::from_millis(left.unsigned_abs()).min(LOOK)).await,
            }
        }
    }
}

/// Watches work in practice worlds: stops it early, and reports how far it is.
#[derive(Clone)]
pub(super) struct WorkWatch {
    pub cancel: Cancel,
    pub time: TimeLimit,
    pub observer: Arc<dyn Observer>,
}

impl WorkWatch {
    /// For trials outside of a run: never stops them, and reports nothing.
    pub fn idle() -> Self {
        Self { cancel: Cancel::new(), time: TimeLimit::None, observer: Arc::new(Silent) }
    }

    /// Whether the work may continue.
    ///
    /// # Errors
    /// [`ExecutorError::Interrupted`] where a person stops the run, [`ExecutorError::OutOfTime`] where its time is over.
    pub fn check(&self) -> Result<(), ExecutorError> {
        if self.cancel.is_cancelled() {
            return Err(ExecutorError::Interrupted);
        }
        if self.time.is_over() {
            return Err(ExecutorError::OutOfTime);
        }
        Ok(())
    }

    /// Waits until the work is to stop, and says why.
    pub async fn stopped(&self) -> ExecutorError {
        tokio::select! {
            () = self.cancel.cancelled() => ExecutorError::Interrupted,
            () = self.time.over() => ExecutorError::OutOfTime,
        }
    }

    /// The result of `work`, unless the work is to stop before.
    ///
    /// # Errors
    /// That of `work`, or as [`check`](Self::check).
    pub async fn within<T, E: Into<ExecutorError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ExecutorError> {
        tokio::select! {
            biased;
            done = work => done.map_err(Into::into),
            stopped = self.stopped() => Err(stopped),
        }
    }

    /// Reports that part `number` of `of` begins.
    pub fn begin(&self, work: LongWork, number: usize, of: usize) {
        self.observer.notice(&Notice::Advanced { work, number, of });
    }
}
