//! Laws of the kinds.

use super::{RecordKind, UnknownKind, documented_kinds};
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
