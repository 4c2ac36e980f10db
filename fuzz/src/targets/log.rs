//! Readers of the log: exports, records, changes of states, database rows, exported memories.

#[path = "../../../agent-core/tests/it/record_samples.rs"]
#[expect(clippy::unwrap_used, reason = "samples of tests")]
mod record_samples;

use super::texts;
use serde_json::{Value, json};
use sojourn_core::{LogRecord, RecordKind, StateChange};
use sojourn_memory::{BlobId, ExportedMemory, NewRun, Store};

/// A small export, with a blob and a forgotten record's shape.
pub fn exports() -> Vec<Vec<u8>> {
    let written = async {
        let home = tempfile::tempdir().ok()?;
        let store = Store::open(home.path()).await.ok()?;
        let new = NewRun::new("20261123-175900-ab3f".parse().ok()?, "crafter", "model");
        let mut writer = store.create_run(new.clone()).await.ok()?;
        let blob = writer.put_blob(b"seen from far away").await.ok()?;
        let odd = writer.put_blob(&[0xff, 0]).await.ok()?;
        for n in 0..3_i64 {
            let payload = json!({"n": n, "text": {"$blob": blob.to_string()}, "x": [1.5, null]});
            writer.append("stepped", n, payload, vec![blob, odd]).await.ok()?;
        }
        writer.close(sojourn_memory::RunStatus::Finished).await.ok()?;
        let mut exporter = store.export(&new.id, None).await.ok()?;
        let mut text = String::new();
        while let Some(line) = exporter.next().await.ok()? {
            text.push_str(&serde_json::to_string(&line).ok()?);
            text.push('\n');
        }
        store.close().await;
        Some(text.into_bytes())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.ok().and_then(|runtime| runtime.block_on(written)).into_iter().collect()
}

pub fn export(input: &[u8]) {
    let _ = sojourn_memory::check_export(&String::from_utf8_lossy(input));
}

/// A kind and a payload of that kind, in two lines.
pub fn payloads() -> Vec<Vec<u8>> {
    let sample =
        |record: &LogRecord| format!("{}\n{}", record.kind(), record_samples::payload(record)).into_bytes();
    record_samples::records().iter().map(sample).collect()
}

/// Any payload of any kind is read or refused, and can be shown.
pub fn record(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Some((kind, payload)) = text.split_once('\n') else { return };
    let (Ok(kind), Ok(payload)) = (kind.parse::<RecordKind>(), serde_json::from_str::<Value>(payload)) else {
        return;
    };
    if let Ok(record) = LogRecord::decode(kind, payload) {
        let line = record.summary();
        assert!(line.len() <= input.len() * 8 + 4096, "a summary of {} bytes", line.len());
    }
}

/// Two values, in two lines.
pub fn values() -> Vec<Vec<u8>> {
    let long = format!("\"{}\"\n[1]", "long ".repeat(60));
    texts(&[
        "{\"a\":1,\"b\":{\"c\":null}}\n{\"b\":{\"c\":2,\"d\":[null]},\"e\":null}",
        "{\"$blob\":\"zz\",\"x\":{\"$blob\":{\"$$blob\":1}}}\n{\"x\":{\"$forgotten\":true}}",
        "{\"a/b~\":{\"\":0.0}}\n{\"a/b~\":{\"\":-0.0}}",
        "null\n{}",
        &long,
    ])
}

fn two_values(input: &[u8]) -> Option<(Value, Value)> {
    let text = std::str::from_utf8(input).ok()?;
    let (first, second) = text.split_once('\n')?;
    Some((serde_json::from_str(first).ok()?, serde_json::from_str(second).ok()?))
}

/// A stored payload reads back equal, also where it looks like the notation of the log.
pub fn payload(input: &[u8]) {
    let Some((first, second)) = two_values(input) else { return };
    let value = json!({"first": first, "second": second});
    if let Some(read) = sojourn_core::stored_and_read(&value) {
        assert_eq!(read, value);
    }
}

/// A change between any two states leads from one to the other.
pub fn state_change(input: &[u8]) {
    let Some((from, to)) = two_values(input) else { return };
    let StateChange { patch, nulls } = StateChange::between(&from, &to);
    let mut state = from.clone();
    StateChange::apply(patch.as_ref(), &nulls, &mut state);
    assert_eq!(state, to);
    // The values as a change from elsewhere.
    StateChange::apply(Some(&from), &[to.to_string()], &mut state);
}

/// Stored forms: a page of records, a payload, compressed content.
pub fn rows() -> Vec<Vec<u8>> {
    let mut rows = texts(&[
        "1 1 1795456740000 4 7 0 32;step{\"n\":1}0123456789abcdef0123456789abcdef",
        "{\"b\":1,\"a\":[{\"d\":\"\\\"\",\"c\":null}]}",
    ]);
    rows.extend(sojourn_memory::fuzzing::compressed(&b"again and again and again. ".repeat(20)));
    rows
}

pub fn row(input: &[u8]) {
    sojourn_memory::fuzzing::read(input);
}

pub fn memories() -> Vec<Vec<u8>> {
    let id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    let blob = BlobId::of(b"picture");
    let memory = json!({
        "id": id, "tenant": "local", "kind": "reflection", "text": "water is in the west", "importance": 5.0,
        "event_time_ms": 1, "environment": "crafter", "run": "20261123-175900-ab3f", "seq": 7, "sources": [],
        "pinned": false, "helpful": 1, "harmful": 0, "made": 3, "content_hash": blob.to_string(),
        "vectors": [{"model": "e5", "vector": [0.5, -0.5]}],
    });
    vec![memory.to_string().into_bytes()]
}

pub fn memory(input: &[u8]) {
    if let Ok(memory) = serde_json::from_slice::<ExportedMemory>(input) {
        let _ = serde_json::to_string(&memory);
    }
    if let Ok(value) = serde_json::from_slice::<Value>(input)
        && let Ok(text) = sojourn_memory::canonical_json(&value)
    {
        let again: Result<Value, _> = serde_json::from_str(&text);
        assert_eq!(again.ok().as_ref(), Some(&value));
    }
}
