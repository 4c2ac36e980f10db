use std::time::{Duration, Instant};

/// Number of batches per measurement window.
const WINDOW: usize = 24;
/// A slowdown by this factor counts as a collapse: contending threads lose far more than another process on
/// the machine takes.
const COLLAPSE: f64 = 2.5;
/// Least time between two measurements of the numbers of threads.
const PAUSE: Duration = Duration::from_mins(1);
/// After this time, a machine that was busy may be idle again.
const STALE: Duration = Duration::from_mins(10);

/// Detects that batches have become much slower.
///
/// Batches of one token and of several are tracked separately, because they use different numbers of threads.
#[derive(Debug)]
pub(super) struct SlowdownDetector {
    single: Track,
    several: Track,
    /// Time of the last measurement of the numbers of threads.
    measured: Instant,
    /// Whether fewer threads than cores were fastest.
    reduced: bool,
}

/// Assessment of the latest batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speed {
    /// The batch took about as long as earlier ones.
    Normal,
    /// The latest window was much slower than the best one.
    Collapsed,
}

#[derive(Debug, Default)]
struct Track {
    /// Times of the present window, in seconds per token.
    recent: Vec<f64>,
    /// Smallest median of all windows.
    best: Option<f64>,
}

impl SlowdownDetector {
    pub(super) fn new(now: Instant) -> Self {
        Self { single: Track::default(), several: Track::default(), measured: now, reduced: false }
    }

    /// Records a decode batch of `tokens` tokens.
    pub(super) fn note(&mut self, tokens: usize, took: Duration, now: Instant) -> Speed {
        // Batches of 2 to 8 tokens take little longer than a single token; larger ones are not compared.
        let (track, weight) = match tokens {
            1 => (&mut self.single, 1.0),
            2..=8 => (&mut self.several, 1.0 + 0.2 * tokens as f64),
            _ => return Speed::Normal,
        };
        let slow = track.note(took.as_secs_f64() / weight);
        if slow && now.saturating_duration_since(self.measured) >= PAUSE {
            Speed::Collapsed
        } else {
            Speed::Normal
        }
    }

    /// Whether to measure again because fewer threads than cores are in use.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.reduced && now.saturating_duration_since(self.measured) >= STALE
    }

    /// Restarts after a measurement. `reduced` says that fewer threads than cores were fastest.
    pub(super) fn restart(&mut self, now: Instant, reduced: bool) {
        *self = Self { reduced, ..Self::new(now) };
    }
}

impl Track {
    /// Returns whether the window that this batch completes is much slower than the best one.
    fn note(&mut self, seconds: f64) -> bool {
        self.recent.push(seconds);
        if self.recent.len() < WINDOW {
            return false;
        }
        self.recent.sort_by(f64::total_cmp);
        let median = self.recent[WINDOW / 2];
        self.recent.clear();
        let best = self.best.get_or_insert(median);
        *best = best.min(median);
        median > COLLAPSE * *best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records a window of single-token batches.
    fn window(slowdown: &mut SlowdownDetector, milliseconds: u64, now: Instant) -> Speed {
        let verdicts: Vec<Speed> =
            (0..WINDOW).map(|_| slowdown.note(1, Duration::from_millis(milliseconds), now)).collect();
        *verdicts.last().unwrap()
    }

    #[test]
    fn large_slowdown_is_detected_and_small_one_ignored() {
        let start = Instant::now();
        let later = start + PAUSE;
        let mut slowdown = SlowdownDetector::new(start);
        assert_eq!(window(&mut slowdown, 60, later), Speed::Normal);
        assert_eq!(window(&mut slowdown, 120, later), Speed::Normal);
        assert_eq!(window(&mut slowdown, 500, later), Speed::Collapsed);
        // Single slow batches are not a collapse.
        for at in 0..WINDOW as u64 {
            let took = Duration::from_millis(if at % 4 == 0 { 900 } else { 60 });
            assert_eq!(slowdown.note(1, took, later), Speed::Normal);
        }
    }

    #[test]
    fn remeasurement_waits_and_recovers() {
        let start = Instant::now();
        let mut slowdown = SlowdownDetector::new(start);
        window(&mut slowdown, 60, start);
        assert_eq!(window(&mut slowdown, 500, start + PAUSE / 2), Speed::Normal);
        slowdown.restart(start + PAUSE, true);
        assert!(!slowdown.is_stale(start + PAUSE));
        assert!(slowdown.is_stale(start + PAUSE + STALE));
        slowdown.restart(start + PAUSE, false);
        assert!(!slowdown.is_stale(start + 10 * STALE));
    }
}
