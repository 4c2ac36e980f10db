use std::time::{Duration, Instant};

/// How many batches are looked at together.
const WINDOW: usize = 24;
/// A model this many times slower than it was has collapsed: threads that spin on each other lose far more than
/// a neighbour on the machine takes.
const COLLAPSE: f64 = 2.5;
/// The least time between two measurements of the numbers of threads.
const PAUSE: Duration = Duration::from_mins(1);
/// After so long a machine that was busy may be free again.
const STALE: Duration = Duration::from_mins(10);

/// Watches how long batches take, and tells when they take much longer than they did.
///
/// Batches of one token and of several are told apart, because they have a number of threads each.
#[derive(Debug)]
pub(super) struct SlowdownDetector {
    single: Track,
    several: Track,
    /// When the numbers of threads were measured last.
    measured: Instant,
    /// Whether fewer threads than there are cores were found fastest.
    reduced: bool,
}

/// What is to be made of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speed {
    /// It took about as long as others.
    Normal,
    /// The last ones took much longer than others before.
    Collapsed,
}

#[derive(Debug, Default)]
struct Track {
    /// The last times, in seconds per token.
    recent: Vec<f64>,
    /// The least median of a whole window.
    best: Option<f64>,
}

impl SlowdownDetector {
    pub(super) fn new(now: Instant) -> Self {
        Self { single: Track::default(), several: Track::default(), measured: now, reduced: false }
    }

    /// Takes note of a batch of `tokens` next tokens that took so long.
    pub(super) fn note(&mut self, tokens: usize, took: Duration, now: Instant) -> Speed {
        // Batches of a few tokens take about as long as batches of one; many take longer each.
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

    /// Whether the machine may be free again since fewer threads were found fastest.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.reduced && now.saturating_duration_since(self.measured) >= STALE
    }

    /// Starts afresh after a measurement, which found fewer threads fastest if `reduced`.
    pub(super) fn restart(&mut self, now: Instant, reduced: bool) {
        *self = Self { reduced, ..Self::new(now) };
    }
}

impl Track {
    /// Whether the last window was much slower than the best one.
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

    /// Notes a window of batches of one token at this rate, at `now`.
    fn window(slowdown: &mut SlowdownDetector, milliseconds: u64, now: Instant) -> Speed {
        let verdicts: Vec<Speed> =
            (0..WINDOW).map(|_| slowdown.note(1, Duration::from_millis(milliseconds), now)).collect();
        *verdicts.last().unwrap()
    }

    #[test]
    fn a_model_that_becomes_much_slower_is_noticed_and_a_little_slower_is_not() {
        let start = Instant::now();
        let later = start + PAUSE;
        let mut slowdown = SlowdownDetector::new(start);
        assert_eq!(window(&mut slowdown, 60, later), Speed::Normal);
        assert_eq!(window(&mut slowdown, 120, later), Speed::Normal);
        assert_eq!(window(&mut slowdown, 500, later), Speed::Collapsed);
        // A few slow ones among fast ones are no collapse.
        for at in 0..WINDOW as u64 {
            let took = Duration::from_millis(if at % 4 == 0 { 900 } else { 60 });
            assert_eq!(slowdown.note(1, took, later), Speed::Normal);
        }
    }

    #[test]
    fn it_is_not_measured_again_at_once_and_not_for_ever_slow() {
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
