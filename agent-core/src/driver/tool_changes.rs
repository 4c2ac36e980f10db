//! How many changes of the tools a run takes over: each is a record, and a server may announce one after the other for ever.
//!
//! The allowance grows with the run. So a server that changes now and then is never held back, and one that changes all the time adds
//! to the log in proportion to what the agent does. In a replay the records alone say which changes were taken.

use crate::model::ControlRecord;

/// What the sources have said that is held back.
pub(super) const HELD_BACK: &str =
    "the tools change too often: from now on their changes are taken over now and then only";
/// Changes that are taken over at once.
const FREE_CHANGES: u64 = 16;
/// Records of the run for which one change more is taken over.
const RECORDS_A_CHANGE: u64 = 32;
/// Bytes of changes that are taken over at once.
const FREE_BYTES: u64 = 16 << 20;
/// Bytes of changes that are taken over more for each record of the run.
const BYTES_A_RECORD: u64 = 4 << 10;

/// The changes of the tools that a run has taken over.
#[derive(Debug, Default)]
pub(super) struct ToolChangesTaken {
    changes: u64,
    bytes: u64,
    /// Whether the log says that changes are held back.
    said: bool,
}

impl ToolChangesTaken {
    /// Counts a change, recorded now or before.
    pub fn count(&mut self, change: &ControlRecord) {
        let ControlRecord::ToolsChanged { appeared, vanished, notices, .. } = change else { return };
        self.said |= notices.iter().any(|notice| notice == HELD_BACK);
        // Notices alone are no change.
        if appeared.is_empty() && vanished.is_empty() {
            return;
        }
        let bytes = |text: Result<String, serde_json::Error>| text.map_or(0, |text| text.len() as u64);
        self.changes += 1;
        self.bytes = self
            .bytes
            .saturating_add(bytes(serde_json::to_string(appeared)))
            .saturating_add(bytes(serde_json::to_string(vanished)));
    }

    /// Whether another change is taken over after this number of records.
    pub fn allow(&self, records: usize) -> bool {
        let records = records as u64;
        self.changes < FREE_CHANGES + records / RECORDS_A_CHANGE
            && self.bytes < FREE_BYTES.saturating_add(records.saturating_mul(BYTES_A_RECORD))
    }

    /// What has yet to be said where a change is held back. It is said once.
    pub fn notice(&self) -> Option<&'static str> {
        (!self.said).then_some(HELD_BACK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_tools::ToolSpec;
    use std::collections::BTreeMap;

    fn change(bytes: usize) -> ControlRecord {
        ControlRecord::ToolsChanged {
            appeared: vec![ToolSpec::new("read", "x".repeat(bytes))],
            unconstrained: BTreeMap::new(),
            vanished: Vec::new(),
            notices: Vec::new(),
        }
    }

    #[test]
    fn changes_without_end_add_to_the_log_in_proportion_to_the_run() {
        for bytes in [10, 1 << 20] {
            let mut taken = ToolChangesTaken::default();
            let change = change(bytes);
            for records in 0..1000 {
                if taken.allow(records) {
                    taken.count(&change);
                }
            }
            assert!(taken.changes <= 16 + 1000 / 32, "{taken:?}");
            assert!(taken.bytes <= (16 << 20) + (1000 << 12) + (2 << 20), "{taken:?}");
        }
    }

    #[test]
    fn a_server_that_changes_now_and_then_is_never_held_back() {
        let mut taken = ToolChangesTaken::default();
        for records in (0..10_000).step_by(50) {
            assert!(taken.allow(records), "{records}: {taken:?}");
            taken.count(&change(1000));
        }
    }

    #[test]
    fn notices_are_no_changes_and_it_is_said_once() {
        let mut taken = ToolChangesTaken::default();
        let noticed = |text: &str| ControlRecord::ToolsChanged {
            appeared: Vec::new(),
            unconstrained: BTreeMap::new(),
            vanished: Vec::new(),
            notices: vec![text.to_owned()],
        };
        for _ in 0..100 {
            taken.count(&noticed("a server restarted"));
        }
        assert!(taken.allow(0) && taken.notice().is_some());
        taken.count(&noticed(HELD_BACK));
        assert_eq!(taken.notice(), None);
    }
}
