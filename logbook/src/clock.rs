//! A run's own time: the one clock of every place that says when something happened in a run, or how long it took.

use crate::ReadError;
use serde::Serialize;
use sojourn_core::{ControlRecord, LogRecord, RecordKind};
use sojourn_memory::{EventSeq, RecordQuery, RunInfo, Store};
use std::time::Duration;

/// Tells the time that a run had run when a record was written, as its budget counts it: without the pauses between two processes,
/// without the time between the records that a fork was made from and the fork, and without the time by which the computer's
/// clock was set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunClock {
    /// Time of the first record, milliseconds since 1970. The records of a fork begin before the fork was made.
    begun_ms: i64,
    /// Records before which the run stood still, each with the milliseconds until then that are not the run's.
    stops: Vec<(u64, i64)>,
    /// The record that was entered last, and its time.
    #[serde(skip)]
    last: (u64, i64),
}

impl RunClock {
    /// The kinds of records before which a run stood still.
    const STOPS: [RecordKind; 3] = [RecordKind::Resumed, RecordKind::Forked, RecordKind::ClockChanged];

    /// A clock that begins at a time, in milliseconds since 1970, and knows of no pause.
    pub fn from(begun_ms: i64) -> Self {
        Self { begun_ms, ..Self::default() }
    }

    /// The clock of a run, from the few of its records that it needs.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub async fn of(store: &Store, info: &RunInfo) -> Result<Self, ReadError> {
        let at = async |seq: u64| -> Result<Option<i64>, ReadError> {
            let query = RecordQuery::from(EventSeq(seq)).to(EventSeq(seq));
            Ok(store.records(&info.id, &query).await?.pop().map(|record| record.at_ms))
        };
        let Some(begun_ms) = at(1).await? else { return Ok(Self::from(info.created_ms)) };
        let mut clock = Self { begun_ms, last: (1, begun_ms), ..Self::default() };
        let query = RecordQuery::all().kinds(Self::STOPS.map(RecordKind::as_str));
        for record in store.records(&info.id, &query).await? {
            let before = record.seq.0.saturating_sub(1);
            if let Some(at_ms) = at(before).await? {
                clock.last = (before, at_ms);
            }
            let content = LogRecord::read(store, &record).await.ok().flatten();
            clock.enter(record.seq.0, record.at_ms, content.as_ref());
        }
        clock.last = clock.last.max((info.last_seq.0, info.last_at_ms));
        Ok(clock)
    }

    /// The clock of a run, as well as it can be told of a damaged log.
    pub async fn of_any(store: &Store, info: &RunInfo) -> Self {
        Self::of(store, info).await.unwrap_or_else(|_| Self::from(info.created_ms))
    }

    /// Moves to a record with its content, where that is known. Records come in order; those that were entered change nothing.
    pub fn enter(&mut self, seq: u64, at_ms: i64, content: Option<&LogRecord>) {
        let (last, last_ms) = self.last;
        if seq <= last {
            return;
        }
        if last == 0 && self.begun_ms == 0 {
            self.begun_ms = at_ms;
        }
        self.last = (seq, at_ms);
        let Some(LogRecord::ControlRecord(control)) = content else { return };
        let gap = match &**control {
            ControlRecord::ClockChanged { by_ms } => *by_ms,
            ControlRecord::Resumed { .. } | ControlRecord::Forked { .. } if last > 0 => {
                at_ms.saturating_sub(last_ms)
            }
            _ => return,
        };
        let before = self.stops.last().map_or(0, |(_, sum)| *sum);
        self.stops.push((seq, before.saturating_add(gap)));
    }

    /// The milliseconds that the run had run when record `seq` was written, at `at_ms` of the computer's clock.
    pub fn at(&self, seq: u64, at_ms: i64) -> i64 {
        let known = self.stops.partition_point(|(stop, _)| *stop <= seq);
        let paused = known.checked_sub(1).map_or(0, |index| self.stops[index].1);
        at_ms.saturating_sub(self.begun_ms).saturating_sub(paused).max(0)
    }

    /// The time that the run ran until its last record.
    pub fn ran(&self) -> Duration {
        let (seq, at_ms) = self.last;
        Duration::from_millis(self.at(seq, at_ms).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(record: ControlRecord) -> LogRecord {
        LogRecord::ControlRecord(Box::new(record))
    }

    #[test]
    fn time_between_two_processes_and_time_that_the_clock_was_set_by_are_not_the_runs() {
        let mut clock = RunClock::default();
        clock.enter(1, 10_000, None);
        clock.enter(2, 12_000, None);
        // The computer's clock is set forward by an hour, a second after the record before.
        clock.enter(3, 3_613_000, Some(&control(ControlRecord::ClockChanged { by_ms: 3_600_000 })));
        clock.enter(4, 3_615_000, None);
        assert_eq!(
            [(1, 10_000), (2, 12_000), (3, 3_613_000), (4, 3_615_000)].map(|(seq, at)| clock.at(seq, at)),
            [0, 2000, 3000, 5000]
        );
        assert_eq!(clock.ran(), Duration::from_secs(5));
        // What was entered before changes nothing.
        let before = clock.clone();
        clock.enter(3, 0, Some(&control(ControlRecord::ClockChanged { by_ms: 1 })));
        assert_eq!(clock, before);
    }
}
