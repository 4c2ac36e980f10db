//! The times of records, and the number of records so far.
//!
//! A record has the time of the computer's clock, for people. Durations must not follow that clock: it can be set, and it runs on
//! while the computer sleeps. So within one process, times are those of the clock at the first record plus the time that the
//! process has run. Where the clock differs from that by a second, a `clock_changed` record says by how much, and times follow the
//! clock from there on. Every duration of a run follows from its log, so a replay finds the same one.

use super::time_limit::TimeLimit;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

/// A clock that differs by this much was set.
const CHANGE_MS: i64 = 1000;

/// The source of the times of live records.
#[derive(Clone)]
pub enum Clock {
    /// The computer's clocks.
    Live(Arc<dyn TimeSource>),
    /// Another log, in milliseconds since 1970. The run ends where that log ends.
    Recorded {
        /// The times of its records, control records left out.
        own: Vec<i64>,
        /// The times of its `tools_changed` records, by the index of the record after them.
        tools: BTreeMap<usize, i64>,
        /// The indices of its `out_of_time` records.
        out_of_time: Arc<BTreeSet<usize>>,
    },
}

impl Default for Clock {
    /// The system's clocks.
    fn default() -> Self {
        Self::Live(Arc::new(RunningTime))
    }
}

/// Two clocks.
pub trait TimeSource: Send + Sync {
    /// The time of the computer's clock, in milliseconds since 1970.
    fn wall_ms(&self) -> i64;

    /// Milliseconds that this process has run since some moment. Never decreases; setting the computer's clock does not change it,
    /// and it stands while the computer or the process is suspended.
    fn running_ms(&self) -> i64;
}

/// The clock of a journal.
pub(super) struct Time {
    clock: Clock,
    /// The times of the two clocks when they were last compared, in milliseconds.
    anchor: Option<(i64, i64)>,
}

impl Time {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, anchor: None }
    }

    /// By how much the computer's clock was set since the last record, in milliseconds, if it was. From then on times follow it.
    pub(super) fn change_ms(&mut self) -> Option<i64> {
        let Clock::Live(source) = &self.clock else { return None };
        let (wall, running) = (source.wall_ms(), source.running_ms());
        let (then, ran) = *self.anchor.get_or_insert((wall, running));
        let change = wall.saturating_sub(then.saturating_add(running.saturating_sub(ran)));
        if change.saturating_abs() < CHANGE_MS {
            return None;
        }
        self.anchor = Some((wall, running));
        Some(change)
    }

    /// The time of the record at `index`; `None` after the other log's last.
    pub(super) fn own(&mut self, index: usize) -> Option<i64> {
        match &self.clock {
            Clock::Live(_) => Some(self.now()),
            Clock::Recorded { own, .. } => own.get(index).copied(),
        }
    }

    /// The time of a `tools_changed` record.
    pub(super) fn tools(&mut self, index: usize, before_ms: i64) -> i64 {
        match &self.clock {
            Clock::Live(_) => self.now(),
            Clock::Recorded { tools, .. } => tools.get(&index).copied().unwrap_or(before_ms),
        }
    }

    /// The time of another control record. On a recorded clock no time passes between two records.
    pub(super) fn between(&mut self, before_ms: i64) -> i64 {
        match &self.clock {
            Clock::Live(_) => self.now(),
            Clock::Recorded { .. } => before_ms,
        }
    }

    /// The end of the run's time, which is at `deadline_ms`, for a journal whose records `index` follows.
    pub(super) fn limit(&mut self, index: RecordIndex, deadline_ms: Option<i64>) -> TimeLimit {
        let now_ms = self.now();
        match (&self.clock, deadline_ms) {
            (Clock::Recorded { out_of_time, .. }, _) => {
                TimeLimit::Recorded { out_of_time: Arc::clone(out_of_time), index }
            }
            (_, None) => TimeLimit::None,
            (Clock::Live(clock), Some(deadline_ms)) => {
                let left_ms = deadline_ms.saturating_sub(now_ms);
                let running_ms = clock.running_ms().saturating_add(left_ms);
                TimeLimit::At { clock: Arc::clone(clock), running_ms }
            }
        }
    }

    fn now(&mut self) -> i64 {
        let Clock::Live(source) = &self.clock else { return 0 };
        let running = source.running_ms();
        let (then, ran) = *self.anchor.get_or_insert_with(|| (source.wall_ms(), running));
        then.saturating_add(running.saturating_sub(ran))
    }
}

/// The system's clocks.
#[derive(Debug, Clone, Copy)]
pub struct RunningTime;

impl TimeSource for RunningTime {
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn running_ms(&self) -> i64 {
        static WATCH: Once = Once::new();
        WATCH.call_once(watch);
        let running = RUN.lock().unwrap_or_else(PoisonError::into_inner).read(Instant::now());
        i64::try_from(running.as_millis()).unwrap_or(i64::MAX)
    }
}

/// How often the time is counted. Of the time before a process was stopped, less than this is lost.
const BEAT: Duration = Duration::from_millis(250);
/// The most that a reading adds to the time that was counted. A process that was just continued does not know it yet.
const LATEST: Duration = Duration::from_millis(500);
#[cfg(target_os = "linux")]
const SIGCONT: i32 = 18;
#[cfg(not(target_os = "linux"))]
const SIGCONT: i32 = 19;

static RUN: Mutex<Run> =
    Mutex::new(Run { counted: Duration::ZERO, since: None, read: Duration::ZERO, watched: true });

/// The time that this process has run. `Instant` stands while the computer sleeps, but not while the process is stopped.
struct Run {
    counted: Duration,
    /// The moment up to which the time is counted.
    since: Option<Instant>,
    /// The latest reading.
    read: Duration,
    /// Whether a thread counts the time. Without one, the time in which the process was stopped counts too.
    watched: bool,
}

impl Run {
    /// Counts the time up to `now`, unless the process was stopped meanwhile.
    fn count(&mut self, now: Instant, stopped: bool) {
        let passed = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if !stopped {
            self.counted += passed;
        }
        self.since = Some(now);
    }

    fn read(&mut self, now: Instant) -> Duration {
        let passed = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let uncounted = if self.watched { passed.min(LATEST) } else { passed };
        self.read = self.read.max(self.counted + uncounted);
        self.read
    }
}

/// Counts the time on a thread of its own, which learns first when the process was stopped and continued.
fn watch() {
    let count = |stopped| RUN.lock().unwrap_or_else(PoisonError::into_inner).count(Instant::now(), stopped);
    let unwatched = || RUN.lock().unwrap_or_else(PoisonError::into_inner).watched = false;
    count(false);
    let watch = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            unwatched();
            return;
        };
        runtime.block_on(async {
            let Ok(mut continued) = signal(SignalKind::from_raw(SIGCONT)) else {
                unwatched();
                return;
            };
            loop {
                let begun = Instant::now();
                let mut stopped = tokio::time::timeout(BEAT, continued.recv()).await.is_ok();
                // The signal may come to another thread first, and the timer of this one before its message.
                if !stopped && begun.elapsed() > LATEST {
                    stopped = tokio::time::timeout(BEAT, continued.recv()).await.is_ok();
                }
                count(stopped);
            }
        });
    };
    if std::thread::Builder::new().name("run-time".to_owned()).spawn(watch).is_err() {
        unwatched();
    }
}

/// The number of records of a journal so far, control records not counted. Whoever answers from another log goes by it.
#[derive(Debug, Clone, Default)]
pub struct RecordIndex(Arc<AtomicUsize>);

impl RecordIndex {
    /// The number now.
    pub fn now(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicI64;

    /// Clocks that show the times that a test sets.
    #[derive(Default)]
    struct Shown {
        wall: AtomicI64,
        running: AtomicI64,
    }

    impl TimeSource for Shown {
        fn wall_ms(&self) -> i64 {
            self.wall.load(Ordering::SeqCst)
        }

        fn running_ms(&self) -> i64 {
            self.running.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn a_clock_that_was_set_is_followed_after_it_was_noted() {
        let shown = Arc::new(Shown::default());
        let show = |wall, running| {
            shown.wall.store(wall, Ordering::SeqCst);
            shown.running.store(running, Ordering::SeqCst);
        };
        show(1_000_000, 0);
        let mut time = Time::new(Clock::Live(shown.clone()));
        let mut next = |wall, running| {
            show(wall, running);
            (time.change_ms(), time.own(0).unwrap())
        };
        assert_eq!(next(1_000_000, 0), (None, 1_000_000));
        assert_eq!(next(1_005_400, 5_000), (None, 1_005_000), "a small difference is the clock's inaccuracy");
        assert_eq!(next(1_010_000 - 3_600_000, 10_000), (Some(-3_600_000), 1_010_000 - 3_600_000));
        assert_eq!(next(1_011_000 - 3_600_000, 11_000), (None, 1_011_000 - 3_600_000));
        assert_eq!(next(1_012_000 + 7_200_000, 12_000), (Some(10_800_000), 1_012_000 + 7_200_000));
        assert_eq!(next(i64::MAX, 12_000).0.map(|by| by > 0), Some(true));
        assert_eq!(next(i64::MIN, 12_000).0.map(|by| by < 0), Some(true));
    }

    #[test]
    fn time_in_which_the_process_was_stopped_is_not_counted() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut run = Run { counted: Duration::ZERO, since: None, read: Duration::ZERO, watched: true };
        run.count(start, false);
        run.count(after(2), false);
        // Just continued: the first reading comes before the signal.
        assert_eq!(run.read(after(100)), Duration::from_secs(2) + LATEST);
        run.count(after(100), true);
        assert_eq!(run.read(after(100)), Duration::from_secs(2) + LATEST, "a reading never decreases");
        run.count(after(101), false);
        assert_eq!(run.read(after(101)), Duration::from_secs(3));
        run.watched = false;
        assert_eq!(run.read(after(111)), Duration::from_secs(13), "time passes without the thread too");
    }
}
