//! The times of records, and the number of records so far.

use super::journal::now_ms;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The source of the times of live records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// The system's clock.
    System,
    /// Another log, in milliseconds since 1970. The run ends where that log ends.
    Recorded {
        /// The times of its records, control records left out.
        own: Vec<i64>,
        /// The times of its `tools_changed` records, by the index of the record after them.
        tools: BTreeMap<usize, i64>,
    },
}

impl Clock {
    /// The time of the record at `index`; `None` after the other log's last.
    pub(super) fn own(&self, index: usize) -> Option<i64> {
        match self {
            Self::System => Some(now_ms()),
            Self::Recorded { own, .. } => own.get(index).copied(),
        }
    }

    /// The time of a `tools_changed` record.
    pub(super) fn tools(&self, index: usize, before_ms: i64) -> i64 {
        match self {
            Self::System => now_ms(),
            Self::Recorded { tools, .. } => tools.get(&index).copied().unwrap_or(before_ms),
        }
    }

    /// The time of another control record. On a recorded clock no time passes between two records.
    pub(super) fn between(&self, before_ms: i64) -> i64 {
        match self {
            Self::System => now_ms(),
            Self::Recorded { .. } => before_ms,
        }
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
