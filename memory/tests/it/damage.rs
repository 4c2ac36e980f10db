//! Damaged database files: truncated, torn or with changed bytes. A read returns what was written or an
//! error, and never panics.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::{home, run_id, runtime};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use sojourn_memory::{Durability, Error, NewRun, Record, RecordQuery, Store};
use std::path::Path;

/// Writes a home whose last commits are only in the write-ahead log, as after a power failure. Returns the
/// records.
async fn powerless(place: &Path) -> Vec<Record> {
    let home = home();
    let store = Store::open(home.path()).await.unwrap();
    let mut writer = store.create_run(NewRun::new(run_id(), "crafter", "model")).await.unwrap();
    let mut records = Vec::new();
    for n in 0..60_i64 {
        let blob = writer.put_blob(format!("frame {n} ").repeat(90).as_bytes()).await.unwrap();
        let payload = json!({"n": n, "text": "long ".repeat(n as usize * 3)});
        records.push(writer.append("step", n, payload, vec![blob]).await.unwrap());
        writer.commit(Durability::Effect).await.unwrap();
    }
    for name in ["sojourn.db", "sojourn.db-wal"] {
        std::fs::copy(home.path().join(name), place.join(name)).unwrap();
    }
    records
}

/// Reads the run. Returns the number of intact records, which must be a prefix of what was written, or `None`
/// after an error.
async fn read_back(place: &Path, written: &[Record]) -> Option<usize> {
    let store = Store::open(place).await.ok()?;
    let report = store.verify(&run_id(), |_, _| ()).await.ok()?;
    let records = match store.records(&run_id(), &RecordQuery::all()).await {
        Ok(records) if report.is_intact() => records,
        _ => return None,
    };
    assert_eq!(records, written[..records.len()], "verified records equal the written ones");
    for id in records.iter().flat_map(|record| &record.blobs) {
        store.blob(id).await.unwrap();
    }
    store.close().await;
    Some(records.len())
}

/// Changes the bytes of a checkpointed database file, then reads it.
async fn damaged(change: impl FnOnce(&mut Vec<u8>)) {
    let place = home();
    let written = powerless(place.path()).await;
    let store = Store::open(place.path()).await.unwrap();
    drop(store.resume_run(&run_id()).await.unwrap());
    store.close().await;
    let path = place.path().join("sojourn.db");
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    read_back(place.path(), &written).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// The disk wrote only some of the last pages, or wrote garbage into them.
    #[test]
    fn torn_tail_loses_only_the_tail(cut in any::<Index>(), nonsense in any::<Option<[u8; 64]>>()) {
        runtime().block_on(async {
            let place = home();
            let written = powerless(place.path()).await;
            let path = place.path().join("sojourn.db-wal");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.truncate(cut.index(bytes.len()));
            bytes.extend(nonsense.into_iter().flatten());
            std::fs::write(&path, bytes).unwrap();
            // The run's row may be lost with the tail. Reading is then an error.
            if let Some(left) = read_back(place.path(), &written).await {
                let store = Store::open(place.path()).await.unwrap();
                assert_eq!(store.resume_run(&run_id()).await.unwrap().last_seq().0, left as u64);
            } else {
                let store = Store::open(place.path()).await.unwrap();
                assert!(matches!(store.run(run_id().as_str()).await, Err(Error::NoSuchRun { .. })));
            }
        });
    }

    #[test]
    fn any_changed_byte_is_detected_or_harmless(at in any::<Index>(), flip in 1..=255_u8) {
        runtime().block_on(async {
            damaged(|bytes| {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            })
            .await;
        });
    }

    #[test]
    fn truncated_file_is_detected(cut in any::<Index>()) {
        runtime().block_on(async {
            damaged(|bytes| bytes.truncate(cut.index(bytes.len()))).await;
        });
    }
}
