//! The kinds of records: each is written, read back by its kind, summarised and documented.

use crate::record_samples::{payload, records};
use sojourn_core::{LogRecord, RecordKind};
use std::collections::BTreeSet;

#[test]
fn every_kind_that_can_be_written_is_read_back_by_its_kind_and_summarised() {
    let mut kinds = BTreeSet::new();
    for record in records() {
        let (kind, stored) = (record.kind(), payload(&record));
        assert!(stored.get("kind").is_none(), "`{kind}` stands in its column, not in {stored}");
        assert_eq!(LogRecord::decode(kind, stored).unwrap(), record);
        let line = record.summary();
        assert!(!line.is_empty() && !line.contains('\n'), "{kind}: {line}");
        kinds.insert(kind);
    }
    assert_eq!(kinds, RecordKind::ALL.iter().copied().collect(), "a sample of every kind");
}

#[test]
fn summaries_say_what_happened() {
    let line = |record: LogRecord| record.summary();
    let lines: Vec<String> = records().into_iter().map(line).collect();
    for expected in [
        "start an episode in world 7",
        "the controller failed: no answer",
        "noop by reflex flee",
        "drink done in 9 steps",
        "bank_pay allowed: rule 1",
        "observe the starts of 2 other episodes of collect_wood",
        "explore 3 episodes of collect_wood",
        "paused by a person in the studio",
        "a person in the studio adds the goal \"light the lamp\": light_the_lamp, reached when /lit is true",
        "tools appeared: bank_pay; vanished: bank_lend; the bank has moved",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:#?}");
    }
}

#[test]
fn only_control_records_stand_between_the_records_of_the_loop() {
    for record in records() {
        let is_control = matches!(record, LogRecord::ControlRecord(_));
        assert_eq!(record.kind().is_control(), is_control, "{}", record.kind());
    }
}
