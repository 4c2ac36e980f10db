//! Where the times of records come from, and how far a log has come.

use super::journal::now_ms;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the times of live records come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// The system's clock.
    System,
    /// Another log, in milliseconds since 1970. Where that log ends, this one does.
    Recorded {
        /// The times of the loop's own records, interjections left out.
        own: Vec<i64>,
        /// Those of changes of tools, by how many records of the loop's own stand before.
        tools: BTreeMap<usize, i64>,
    },
}

impl Clock {
    /// The time of a record of the loop's own; `None` after the other log's last.
    pub(super) fn own(&self, place: usize) -> Option<i64> {
        match self {
            Self::System => Some(now_ms()),
            Self::Recorded { own, .. } => own.get(place).copied(),
        }
    }

    /// The time of a change of tools.
    pub(super) fn tools(&self, place: usize, before_ms: i64) -> i64 {
        match self {
            Self::System => now_ms(),
            Self::Recorded { tools, .. } => tools.get(&place).copied().unwrap_or(before_ms),
        }
    }

    /// The time of what came between two records: in another log's time none has passed.
    pub(super) fn between(&self, before_ms: i64) -> i64 {
        match self {
            Self::System => now_ms(),
            Self::Recorded { .. } => before_ms,
        }
    }
}

/// How many records of the loop's own a journal has gone through, for those who stand beyond the driver and answer by it.
#[derive(Debug, Clone, Default)]
pub struct Place(Arc<AtomicUsize>);

impl Place {
    /// As of now.
    pub fn now(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
