//! Laws of the kinds.

use super::{LogRecord, RecordKind, UnknownKind, documented_kinds};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn every_kind_has_a_text_of_its_own_that_is_read_back() {
    let texts: BTreeSet<&str> = RecordKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(texts.len(), RecordKind::ALL.len());
    for kind in RecordKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(*kind));
    }
    assert_eq!("thought".parse::<RecordKind>(), Err(UnknownKind("thought".to_owned())));
}

#[test]
fn every_kind_is_documented() {
    for (kind, doc) in documented_kinds() {
        assert!(doc.len() > 15 && doc.ends_with('.') && !doc.contains('\n'), "{kind}: {doc}");
    }
}

#[test]
fn a_payload_is_read_by_its_kind_alone() {
    let read = LogRecord::decode(RecordKind::StartEpisode, json!({"kind": "finish", "seed": 7})).unwrap();
    assert_eq!(read.kind(), RecordKind::StartEpisode);
    assert!(LogRecord::decode(RecordKind::StartEpisode, json!({"depth": 7})).is_err());
}
