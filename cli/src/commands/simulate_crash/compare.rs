//! Compares a crash replay with the recorded run.

use super::TENANT;
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_core::{Effect, LogRecord, RecordKind};
use sojourn_memory::{Memories, Record, RecordQuery, RunId, Store, Tenant};

/// Compares a replay that ran to its end with the recorded run. Returns the first difference.
pub async fn whole(store: Store, run: &RunId, source: &[Record], crashes: usize) -> Result<Option<String>> {
    let report = store.verify(run, |_, _| ()).await?;
    if let Some(fault) = report.first_fault {
        return Ok(Some(format!("the log's chain is broken at record {}: {}", fault.seq, fault.detail)));
    }
    let (replayed, resumed) = replayed(&store, run).await?;
    if resumed != crashes {
        return Ok(Some(format!("it was killed {crashes} times and resumed {resumed} times")));
    }
    let source = &without_frames(source);
    if let Some(difference) = first_difference(source, &replayed) {
        return Ok(Some(difference));
    }
    if replayed.len() > source.len() {
        return Ok(Some(format!("it continued after its {} records", source.len())));
    }
    // Equal texts are stored once, so the number of different texts counts.
    let mut texts = std::collections::BTreeSet::new();
    for record in source.iter().filter(|record| RecordKind::Remember.is(record)) {
        if let Some(LogRecord::Effect(effect)) = LogRecord::read(&store, record).await?
            && let Effect::Remember { memory } = *effect
        {
            texts.insert(memory.text);
        }
    }
    let stats = Memories::new(store).stats(&Tenant::new(TENANT)?).await?;
    let remembered: u64 = stats.kinds.values().sum();
    if remembered < texts.len() as u64 {
        return Ok(Some(format!("{} texts should be remembered, {remembered} are", texts.len())));
    }
    Ok(None)
}

/// Compares a replay that must differ from the record of `source` with the index `divergence` on, because the effect of a
/// call is unknown there. Returns the first other difference.
pub async fn diverging(
    store: &Store,
    run: &RunId,
    source: &[Record],
    divergence: usize,
) -> Result<Option<String>> {
    let (replayed, _) = replayed(store, run).await?;
    let source = &without_frames(source);
    let own = source.iter().enumerate().filter(|(_, record)| !is_control(record));
    let Some((index, record)) = own.clone().nth(divergence) else {
        return Ok(Some(format!("it has no record with the index {divergence}")));
    };
    if let Some(difference) = first_difference(&source[..index], &replayed) {
        return Ok(Some(difference));
    }
    let Some(again) = replayed.get(index) else {
        return Ok(Some(format!("record {} and all after it are lost", record.seq)));
    };
    let unknown = LogRecord::read(store, again).await?.is_some_and(|again| again.is_effect_unknown());
    // The call may have ended already without its record; or its environment was lost, and the act's end not recorded.
    let expected = unknown || same(again, record) || RecordKind::Acted.is(record);
    Ok((!expected).then(|| {
        format!(
            "the agent does not learn that the effect is unknown: record {} is `{}`",
            record.seq, again.kind
        )
    }))
}

fn is_control(record: &Record) -> bool {
    record.kind.parse().is_ok_and(RecordKind::is_control)
}

/// The records without pictures of the world and pauses: a process that dies may lose a picture, and nobody draws a recorded world or
/// pauses this run.
fn without_frames(records: &[Record]) -> Vec<Record> {
    without(|record| RecordKind::FrameTaken.is(record) || RecordKind::Paused.is(record), records)
}

/// The records without pictures and those of resumes, and the number of resumes.
async fn replayed(store: &Store, run: &RunId) -> Result<(Vec<Record>, usize)> {
    let records = store.records(run, &RecordQuery::all()).await?;
    let resumes = records.iter().filter(|record| RecordKind::Resumed.is(record)).count();
    let left_out = |record: &Record| RecordKind::Resumed.is(record) || RecordKind::FrameTaken.is(record);
    Ok((without(left_out, &records), resumes))
}

/// The first record of `source` that is missing or differs in the replay.
fn first_difference(source: &[Record], replayed: &[Record]) -> Option<String> {
    let mut replayed = replayed.iter();
    for record in source {
        let Some(again) = replayed.next() else {
            return Some(format!("record {} and all after it are lost", record.seq));
        };
        if !same(again, record) {
            return Some(format!("record {} (`{}`) differs", record.seq, record.kind));
        }
    }
    None
}

fn same(one: &Record, other: &Record) -> bool {
    // The trial itself is not repeated, so its calls have no times of their own.
    if RecordKind::TrialCall.is(one) && RecordKind::TrialCall.is(other) {
        return one.payload == other.payload;
    }
    (&one.kind, &one.payload, one.at_ms) == (&other.kind, &other.payload, other.at_ms)
}

/// The records without some, as they would be then: lessons cite records by their numbers.
fn without(left_out: impl Fn(&Record) -> bool, records: &[Record]) -> Vec<Record> {
    let (gone, mut records): (Vec<Record>, Vec<Record>) = records.iter().cloned().partition(left_out);
    let payloads = records.iter_mut().map(|record| &mut record.payload);
    for edit in payloads.filter_map(|payload| payload.get_mut("edits")?.as_array_mut()).flatten() {
        let sources = edit.get_mut("sources").and_then(Value::as_array_mut);
        for source in sources.into_iter().flatten() {
            if let Some(seq) = source.as_u64() {
                *source = json!(seq - gone.iter().filter(|gone| gone.seq.0 < seq).count() as u64);
            }
        }
    }
    records
}
