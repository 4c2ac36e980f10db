//! Whether a life that was lived again is the one that was recorded.

use super::TENANT;
use crate::home::Home;
use crate::logbook;
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_core::{Effect, Interjection, Precedent};
use sojourn_memory::{EventSeq, Memories, Record, RecordQuery, RunId, Store, Tenant};
use std::path::Path;

/// Compares what was lived to its end with what was recorded; the difference, if there is one.
pub async fn whole(scratch: &Path, run: &RunId, source: &[Record], crashes: usize) -> Result<Option<String>> {
    let store = Home::at(scratch).store().await?;
    let report = store.verify(run, |_, _| ()).await?;
    if let Some(fault) = report.first_fault {
        return Ok(Some(format!("the log's chain is broken at record {}: {}", fault.seq, fault.detail)));
    }
    let (lived, taken_up) = lived(&store, run).await?;
    if taken_up != crashes {
        return Ok(Some(format!("it was killed {crashes} times and taken up {taken_up} times")));
    }
    if let Some(difference) = beginning(source, &lived) {
        return Ok(Some(difference));
    }
    if lived.len() > source.len() {
        return Ok(Some(format!("it went on after its {} records", source.len())));
    }
    // The same text is remembered once; every text is.
    let mut texts = std::collections::BTreeSet::new();
    for record in source.iter().filter(|record| record.kind == "remember") {
        if let logbook::Body::Effect(effect) = logbook::read(&store, record).await?
            && let Effect::Remember { memory } = *effect
        {
            texts.insert(memory.text);
        }
    }
    let stats = Memories::new(store).stats(&Tenant::new(TENANT)?).await?;
    let remembered: u64 = stats.kinds.values().sum();
    if remembered < texts.len() as u64 {
        return Ok(Some(format!("{} texts were to be remembered, {remembered} are", texts.len())));
    }
    Ok(None)
}

/// Compares a life that ends where it must go another way: at the record of `source` with the place `parting` among the
/// loop's own the agent is told that nobody knows.
pub async fn parted(
    scratch: &Path,
    run: &RunId,
    source: &[Record],
    parting: usize,
) -> Result<Option<String>> {
    let store = Home::at(scratch).store().await?;
    let (lived, _) = lived(&store, run).await?;
    let own = source.iter().enumerate().filter(|(_, record)| !Interjection::is_kind(&record.kind));
    let Some((index, record)) = own.clone().nth(parting) else {
        return Ok(Some(format!("it has no record {parting} of its own")));
    };
    if let Some(difference) = beginning(&source[..index], &lived) {
        return Ok(Some(difference));
    }
    Ok(match lived.get(index) {
        // The call may have been over already, and only that not been written.
        Some(told) if Precedent::nobody_knows(told) || same(told, record) => None,
        // Its world had broken off, and what that came to was not written.
        Some(_) if record.kind == "acted" => None,
        Some(told) => {
            Some(format!("the agent was not told what is unknown: record {} is `{}`", record.seq, told.kind))
        }
        None => Some(format!("record {} and all after it are lost", record.seq)),
    })
}

/// What was lived but for the records that say that it was taken up; how many they were.
async fn lived(store: &Store, run: &RunId) -> Result<(Vec<Record>, usize)> {
    let lived = store.records(run, &RecordQuery::all()).await?;
    let (between, lived): (Vec<Record>, Vec<Record>) =
        lived.into_iter().partition(|record| record.kind == "resumed");
    let between: Vec<EventSeq> = between.iter().map(|record| record.seq).collect();
    Ok((lived.into_iter().map(|record| without(&between, record)).collect(), between.len()))
}

/// What is not there or is another at the beginning of what was lived.
fn beginning(source: &[Record], lived: &[Record]) -> Option<String> {
    let mut lived = lived.iter();
    for record in source {
        let Some(again) = lived.next() else {
            return Some(format!("record {} and all after it are lost", record.seq));
        };
        if !same(again, record) {
            return Some(format!("record {} (`{}`) is another one", record.seq, record.kind));
        }
    }
    None
}

fn same(one: &Record, other: &Record) -> bool {
    (&one.kind, &one.payload, one.at_ms) == (&other.kind, &other.payload, other.at_ms)
}

/// The record as it would be if those records were not there: lessons cite others by their places.
fn without(between: &[EventSeq], mut record: Record) -> Record {
    let edits = record.payload.get_mut("edits").and_then(Value::as_array_mut);
    for edit in edits.into_iter().flatten() {
        let sources = edit.get_mut("sources").and_then(Value::as_array_mut);
        for source in sources.into_iter().flatten() {
            if let Some(seq) = source.as_u64() {
                *source = json!(seq - between.iter().filter(|place| place.0 < seq).count() as u64);
            }
        }
    }
    record
}
