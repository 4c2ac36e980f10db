//! Records of a run: groups, buckets, rows, one record in full, the next that matches, search, and frames.

use super::{Answer, Shared};
use crate::StudioError;
use crate::json::answer;
use crate::query::Query;
use crate::rows::{frames as film, rows};
use axum::extract::Path;
use axum::http::{HeaderMap, Uri, header};
use axum::response::IntoResponse as _;
use serde::Serialize;
use serde_json::{Value, json};
use sojourn_core::{LogRecord, RecordKind};
use sojourn_logbook::{Entry, Exchange, Frame, Group, Reading, folded, size, whole};
use sojourn_memory::{BlobId, EventSeq, Record, RecordQuery, RunInfo, Store};
use sojourn_tools::media::recognised;
use std::time::{Duration, Instant};

/// The longest payload of a record that is sent whole, in bytes.
const LONGEST_PAYLOAD: usize = 8 << 20;
/// How long one request searches. The next one goes on from there.
const SEARCH: Duration = Duration::from_millis(400);
/// The most characters of a search.
const LONGEST_SEARCH: usize = 200;
/// The most frames of one answer.
const MOST_FRAMES: u64 = 200;

/// `GET /runs/{run}/groups`
pub async fn groups(state: Shared, Path(run): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let (first, last) = (query.number("first", 1)?, query.number("last", u64::MAX)?);
    let levels = query.number("from_level", 0)?.min(2) as u8..=query.number("to_level", 2)?.min(2) as u8;
    let limit = query.limit(2000, 5000)?;
    let info = state.studio.store.run(&run).await?;
    let watched = state.outlines.current(&state.studio.store, &info).await?;
    let outline = watched.outline();
    let (groups, total) = outline.groups_page(first, last, levels, limit);
    answer(&headers, &GroupPage { read: outline.len(), total, groups })
}

/// Groups as they are sent. A tree of JSON of them would take ten times their size.
#[derive(Serialize)]
struct GroupPage {
    read: u64,
    total: usize,
    groups: Vec<Group>,
}

/// Frames as they are sent, for the same reason without a tree of JSON.
#[derive(Serialize)]
struct FramePage {
    frames: Vec<Frame>,
    state: Value,
}

/// `GET /runs/{run}/buckets`
pub async fn buckets(state: Shared, Path(run): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let (first, last) = (query.number("first", 1)?, query.number("last", u64::MAX)?);
    let count = query.limit(240, 2000)?;
    let info = state.studio.store.run(&run).await?;
    let watched = state.outlines.current(&state.studio.store, &info).await?;
    let outline = watched.outline();
    answer(&headers, &json!({"read": outline.len(), "buckets": outline.buckets(first, last, count)}))
}

/// `GET /runs/{run}/records`
pub async fn list(state: Shared, Path(run): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let (offset, limit, filter) = (query.number("offset", 0)?, query.limit(100, 500)?, query.filter()?);
    let store = &state.studio.store;
    let info = store.run(&run).await?;
    let watched = state.outlines.current(store, &info).await?;
    let (total, seqs) = {
        let outline = watched.outline();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if filter.is_all() {
            let last = outline.len();
            (last, ((offset as u64).saturating_add(1)..=last).take(limit).collect::<Vec<_>>())
        } else {
            let total = outline.matching(filter).count() as u64;
            (total, outline.matching(filter).skip(offset).take(limit).collect())
        }
    };
    let rows = rows(store, &info, &watched, &seqs).await?;
    answer(&headers, &json!({"total": total, "offset": offset, "records": rows}))
}

/// `GET /runs/{run}/next`
pub async fn next(state: Shared, Path(run): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let (after, filter) = (query.number("after", 0)?, query.filter()?);
    let info = state.studio.store.run(&run).await?;
    let watched = state.outlines.current(&state.studio.store, &info).await?;
    let outline = watched.outline();
    let found = outline.next(filter, after, query.text("back").is_some());
    answer(&headers, &json!({"seq": found}))
}

/// `GET /runs/{run}/search`
pub async fn search(state: Shared, Path(run): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let text: String = query.text("q").unwrap_or_default().chars().take(LONGEST_SEARCH).collect();
    let (after, limit, filter) = (query.number("after", 0)?, query.limit(100, 500)?, query.filter()?);
    if text.trim().is_empty() {
        return Err(StudioError::Bad("`q` is what to search for".to_owned()));
    }
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let store = &state.studio.store;
    let info = store.run(&run).await?;
    let watched = state.outlines.current(store, &info).await?;
    let mut reading =
        Reading::new(store, &info, RecordQuery::from(EventSeq(after.saturating_add(1)))).await?;
    let (begun, mut searched, mut found) = (Instant::now(), after, Vec::new());
    let mut is_over = false;
    while found.len() < limit && begun.elapsed() < SEARCH {
        let Some(entry) = reading.next_intact().await? else {
            is_over = true;
            break;
        };
        let (seq, matches) = match entry {
            Entry::Damaged { seq, .. } => (seq.0, false),
            Entry::Record(record, content) => {
                (record.seq.0, holds(store, &record, content.is_ok(), &words).await)
            }
        };
        searched = seq;
        if matches && (filter.is_all() || watched.outline().matching_one(filter, seq)) {
            found.push(seq);
        }
    }
    let records = rows(store, &info, &watched, &found).await?;
    answer(&headers, &json!({"searched": searched, "over": is_over, "records": records}))
}

/// Whether a record has all words in its kind or its payload.
async fn holds(store: &Store, record: &Record, is_readable: bool, words: &[String]) -> bool {
    let payload = if is_readable { whole(store, record).await.ok() } else { None };
    let mut text = format!("{} ", record.kind);
    append_texts(payload.as_ref().unwrap_or(&record.payload), &mut text);
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}

/// The names and texts of a value, each once and separated by spaces.
fn append_texts(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                // A compiled module is no text.
                if name != "wasm" {
                    text.push_str(name);
                    text.push(' ');
                    append_texts(value, text);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| append_texts(item, text)),
        Value::String(string) => {
            text.push_str(string);
            text.push(' ');
        }
        Value::Null => {}
        other => {
            text.push_str(&other.to_string());
            text.push(' ');
        }
    }
}

/// `GET /runs/{run}/records/{seq}`
pub async fn one(state: Shared, Path((run, seq)): Path<(String, u64)>, headers: HeaderMap) -> Answer {
    let store = &state.studio.store;
    let info = store.run(&run).await?;
    answer(&headers, &detail(store, &info, seq).await?)
}

/// `GET /runs/{run}/records/{seq}/media/{address}`
pub async fn media(state: Shared, Path((run, seq, address)): Path<(String, u64, String)>) -> Answer {
    let store = &state.studio.store;
    let info = store.run(&run).await?;
    let query = RecordQuery::from(EventSeq(seq)).to(EventSeq(seq));
    let record = store.records(&info.id, &query).await?.pop();
    let id = address.parse::<BlobId>().ok();
    // Only what the record itself has: no address opens a blob of another run.
    let id = id.filter(|id| record.is_some_and(|record| record.blobs.contains(id)));
    let missing = || StudioError::NotFound("the record has no such picture or sound".to_owned());
    let bytes = store.blob(&id.ok_or_else(missing)?).await?;
    let kind = recognised(&bytes).ok_or_else(missing)?;
    let kept = (header::CACHE_CONTROL, "private, max-age=31536000, immutable");
    Ok(([(header::CONTENT_TYPE, kind), kept], bytes).into_response())
}

/// One record with all that belongs to it.
///
/// # Errors
/// When there is no such record. What cannot be read of it stands in `unreadable`.
pub async fn detail(store: &Store, info: &RunInfo, seq: u64) -> Result<Value, StudioError> {
    let query = RecordQuery::from(EventSeq(seq)).to(EventSeq(seq));
    let record = match store.records(&info.id, &query).await {
        Ok(mut records) => records.pop(),
        Err(error @ sojourn_memory::Error::Damaged { .. }) => {
            return Ok(json!({"seq": seq, "kind": "damaged", "unreadable": error.to_string()}));
        }
        Err(error) => return Err(error.into()),
    };
    let Some(record) = record else {
        return Err(sojourn_memory::Error::NoSuchRecord {
            run: info.id.clone(),
            seq: EventSeq(seq),
            last: info.last_seq,
        }
        .into());
    };
    let mut unreadable = LogRecord::read(store, &record).await.err().map(|error| error.to_string());
    let payload = match whole(store, &record).await {
        Ok(payload) => folded(payload, ""),
        Err(error) => {
            unreadable.get_or_insert(error.to_string());
            record.payload.clone()
        }
    };
    let bytes = size(&payload);
    let payload = if bytes > LONGEST_PAYLOAD {
        json!(format!("{bytes} bytes; `sojourn log show {} {seq} --full --json` prints it", info.id))
    } else {
        payload
    };
    let exchange = match record.kind.parse() {
        Ok(RecordKind::AskController | RecordKind::ControllerAnswered | RecordKind::ControllerFailed) => {
            Exchange::at(store, info, EventSeq(seq)).await.ok().flatten()
        }
        _ => None,
    };
    let exchange = exchange.map(|exchange| exchange.as_json()).transpose()?;
    Ok(json!({
        "seq": seq,
        "at_ms": record.at_ms,
        "kind": record.kind,
        "hash": record.hash.to_string(),
        "prev_hash": record.prev_hash.to_string(),
        "payload": payload,
        "exchange": exchange,
        "unreadable": unreadable,
    }))
}

/// `GET /runs/{run}/frames`
pub async fn frames(state: Shared, Path(run): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let store = &state.studio.store;
    let info = store.run(&run).await?;
    let from = query.number("from", 1)?.max(1);
    let to = query.number("to", from)?.min(from.saturating_add(MOST_FRAMES - 1)).min(info.last_seq.0);
    if to < from {
        return answer(&headers, &json!({"frames": [], "state": null}));
    }
    let watched = state.outlines.current(store, &info).await?;
    let (frames, at_end) = film(store, &info, &state.studio.environments, &watched, (from, to)).await?;
    answer(&headers, &FramePage { frames, state: at_end })
}
