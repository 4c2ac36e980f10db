//! The bytes of a run's log, and their limit. A world or a server that never stops talking ends the run before the disk is full.
//!
//! The end is no decision of the core: the run stops before a record, as by an interruption, so that nothing about it has to be
//! repeated in a replay. Counted are the bytes of the records, without the index and the space that the database keeps free.

use crate::config::Budgets;
use crate::model::{ControlRecord, Effect, RecordKind};
use serde_json::Value;
use std::io;

/// Bytes of a run's log, where `budgets.log_bytes` gives no limit.
const DEFAULT_LIMIT: u64 = 8 << 30;
/// Bytes beyond the limit for what was under way when it was reached.
const UNDER_WAY: u64 = 256 << 20;

/// What the log of a run has used of its budget.
#[derive(Debug)]
pub(super) struct LogBudget {
    used: u64,
    limit: u64,
}

impl LogBudget {
    pub fn new(budgets: Option<&Budgets>) -> Self {
        Self { used: 0, limit: budgets.and_then(|budgets| budgets.log_bytes).unwrap_or(DEFAULT_LIMIT) }
    }

    /// Counts a record without its blobs.
    pub fn count(&mut self, payload: &Value) {
        let mut counter = Counter(0);
        // A value can always be written, and the counter never fails.
        let _ = serde_json::to_writer(&mut counter, payload);
        self.add(counter.0);
    }

    /// Counts bytes of blobs.
    pub fn add(&mut self, bytes: u64) {
        self.used = self.used.saturating_add(bytes);
    }

    /// Takes over the limit that a resume or a fork sets.
    pub fn heed(&mut self, control: &ControlRecord) {
        let (config, more) = match control {
            ControlRecord::Resumed { budgets, .. } => (None, budgets.as_ref()),
            ControlRecord::Forked { changes, .. } => (changes.config.as_ref(), changes.budgets.as_ref()),
            _ => return,
        };
        if let Some(config) = config {
            self.limit = config.budgets.log_bytes.unwrap_or(DEFAULT_LIMIT);
        }
        if let Some(bytes) = more.and_then(|more| more.log_bytes) {
            self.limit = bytes;
        }
    }

    /// The limit, if a record of this kind has to wait for a larger one. At the limit nothing new is begun; the results of what is
    /// under way are recorded, within [`UNDER_WAY`]. The end of a run, and what says that it goes on, always are.
    pub fn exceeded_by(&self, kind: RecordKind) -> Option<u64> {
        let room = match kind {
            RecordKind::Finish | RecordKind::Resumed | RecordKind::Forked => return None,
            RecordKind::ToolDecision | RecordKind::ToolsChanged => 0,
            _ if Effect::KINDS.contains(&kind) => 0,
            _ => UNDER_WAY,
        };
        (self.used >= self.limit.saturating_add(room)).then_some(self.limit)
    }
}

/// Counts what is written to it.
struct Counter(u64);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
