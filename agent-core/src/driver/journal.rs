//! The log as the driver sees it: what was recorded is compared or answered, what comes after is appended.
//!
//! Replay, resume and a first run are the same program. While recorded records are left, everything the program
//! derives must equal them, and everything that comes from outside is taken from them; after the last one the run
//! is live.

use super::clock::{Clock, Place};
use super::interjection::{Interjected, Interjection};
use serde_json::{Map, Value, json};
use sojourn_memory::{BlobId, Durability, EventSeq, Record, RunStatus, Store, Writer};
use std::collections::{BTreeMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

/// Strings longer than this stand in a blob, so that what many records share is stored once.
const INLINE_BYTES: usize = 240;
const BLOB_KEY: &str = "$blob";

/// The log of one run, recorded part first.
pub struct Journal {
    store: Store,
    recorded: VecDeque<Record>,
    /// `None` when the run is only replayed.
    writer: Option<Writer>,
    clock: Clock,
    /// Written before the first record that is live.
    announcement: Option<Interjection>,
    /// Interjections that were passed and that nobody has asked for yet.
    passed: Vec<Interjected>,
    /// Ends the process once this record is durable.
    crash: Option<(EventSeq, fn())>,
    /// Whether recorded results of practice are taken as they are.
    trusting: bool,
    seq: EventSeq,
    at_ms: i64,
    /// Records of the loop's own so far, interjections not counted.
    own: Place,
    /// What came of practice in another log, by the places of its records.
    practised: BTreeMap<usize, Value>,
    matched: u64,
}

/// What a record became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Its place.
    pub seq: EventSeq,
    /// When it happened, milliseconds since 1970.
    pub at_ms: i64,
    /// Whether it had been recorded before.
    pub replayed: bool,
}

/// Why the journal could not go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// What the program does now is not what was recorded.
    #[error("record {seq} differs from the log: recorded {recorded}, now {now}")]
    Diverged {
        /// The record.
        seq: EventSeq,
        /// What the log says.
        recorded: String,
        /// What happened now.
        now: String,
    },
    /// The recorded part is at its end, and nothing more may be written.
    #[error("the recorded part of the run ends here")]
    End,
    /// The log could not be read or written.
    #[error(transparent)]
    Log(#[from] sojourn_memory::Error),
    /// What happened cannot be written as JSON.
    #[error("not serialisable: {0}")]
    Json(#[from] serde_json::Error),
    /// What came from outside was removed with a memory that it quoted.
    #[error("the content of record {seq} was forgotten: the run cannot happen again past it")]
    Forgotten {
        /// The record.
        seq: EventSeq,
    },
    /// A record holds something that this version cannot read.
    #[error("record {seq} cannot be read: {reason}")]
    Unreadable {
        /// The record.
        seq: EventSeq,
        /// What is wrong with it.
        reason: String,
    },
}

impl Journal {
    /// A journal that first goes through `recorded`, then appends to `writer`, if there is one.
    pub fn new(store: Store, recorded: Vec<Record>, writer: Option<Writer>) -> Self {
        Self {
            store,
            recorded: recorded.into(),
            writer,
            clock: Clock::System,
            announcement: None,
            passed: Vec::new(),
            crash: None,
            trusting: false,
            seq: EventSeq(0),
            at_ms: 0,
            own: Place::default(),
            practised: BTreeMap::new(),
            matched: 0,
        }
    }

    /// Takes the times of live records from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Writes `announcement` before the first record that is live.
    #[must_use]
    pub fn announcing(mut self, announcement: Interjection) -> Self {
        self.announcement = Some(announcement);
        self
    }

    /// Takes recorded results of practice as they are. Otherwise practice happens again and is compared, which is what
    /// a verification wants and a resume need not wait for.
    #[must_use]
    pub fn trusting_practice(mut self) -> Self {
        self.trusting = true;
        self
    }

    /// Takes what came of practice from another log, where it cannot happen again here.
    #[must_use]
    pub fn with_practice(mut self, practised: BTreeMap<usize, Value>) -> Self {
        self.practised = practised;
        self
    }

    /// What another log has at this place as the outcome of practice. Only where nothing is left to compare with.
    pub fn practised(&self) -> Option<&Value> {
        self.practised.get(&self.own.now())
    }

    /// How many records of the loop's own were gone through, now and later.
    pub fn place(&self) -> Place {
        self.own.clone()
    }

    /// Whether recorded results of practice are taken as they are.
    pub fn trusting(&self) -> bool {
        self.trusting
    }

    /// Calls `crash`, which should not return, as soon as record `seq` is durable: to see what a resume makes of it.
    #[must_use]
    pub fn crashing(mut self, seq: EventSeq, crash: fn()) -> Self {
        self.crash = Some((seq, crash));
        self
    }

    /// Records that were compared so far and matched.
    pub fn matched(&self) -> u64 {
        self.matched
    }

    /// Whether records are left to compare with.
    pub fn replaying(&self) -> bool {
        !self.recorded.is_empty()
    }

    /// Records that were not gone through yet.
    pub fn left(&self) -> impl Iterator<Item = &Record> {
        self.recorded.iter()
    }

    /// Where the records are kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether the run goes on after what was recorded.
    pub fn writes(&self) -> bool {
        self.writer.is_some()
    }

    /// Notes something that the program derived. While replaying it must equal what was recorded.
    ///
    /// # Errors
    /// [`JournalError::Diverged`], [`JournalError::End`], or what kept it from being written.
    pub async fn note(&mut self, kind: &str, payload: &Value) -> Result<Noted, JournalError> {
        self.pass().await?;
        let mut contents = Vec::new();
        let compact = externalise(payload, &mut contents);
        if let Some(record) = self.take() {
            self.own.advance();
            // What was forgotten and is derived is derived again; there is nothing left to compare it with.
            let same = record.payload == compact || is_forgotten(&record.payload);
            if record.kind != kind || !same {
                return Err(JournalError::Diverged {
                    seq: record.seq,
                    recorded: excerpt(&record.kind, &record.payload, &compact),
                    now: excerpt(kind, &compact, &record.payload),
                });
            }
            self.matched += 1;
            return Ok(Noted { seq: record.seq, at_ms: record.at_ms, replayed: true });
        }
        let at_ms = self.clock.own(self.own.now()).ok_or(JournalError::End)?;
        let noted = self.append(kind, at_ms, compact, &contents).await?;
        self.own.advance();
        Ok(noted)
    }

    /// The interjections that stand at this place of the log; the announcement where the recorded part ends.
    ///
    /// # Errors
    /// When one cannot be read or written.
    pub async fn interjections(&mut self) -> Result<Vec<Interjected>, JournalError> {
        self.pass().await?;
        Ok(std::mem::take(&mut self.passed))
    }

    /// Goes past the interjections at this place, and writes the announcement where the recorded part ends.
    async fn pass(&mut self) -> Result<(), JournalError> {
        while self.recorded.front().is_some_and(|record| Interjection::is_kind(&record.kind)) {
            let before_ms = self.at_ms;
            let Some(record) = self.take() else { break };
            let payload = inflate(&self.store, record.seq, record.payload).await?;
            let what = Interjection::read(payload)
                .map_err(|error| JournalError::Unreadable { seq: record.seq, reason: error.to_string() })?;
            self.matched += 1;
            self.passed.push(Interjected { what, before_ms, at_ms: record.at_ms });
        }
        if self.recorded.is_empty()
            && self.writer.is_some()
            && let Some(what) = self.announcement.clone()
        {
            let before_ms = self.at_ms;
            let mut contents = Vec::new();
            let compact = externalise(&serde_json::to_value(&what)?, &mut contents);
            let at_ms = self.clock.between(before_ms);
            let noted = self.append(what.kind(), at_ms, compact, &contents).await?;
            self.announcement = None;
            self.passed.push(Interjected { what, before_ms, at_ms: noted.at_ms });
        }
        Ok(())
    }

    /// The next recorded record.
    fn take(&mut self) -> Option<Record> {
        let record = self.recorded.pop_front()?;
        (self.seq, self.at_ms) = (record.seq, record.at_ms);
        Some(record)
    }

    async fn append(
        &mut self,
        kind: &str,
        at_ms: i64,
        payload: Value,
        contents: &[String],
    ) -> Result<Noted, JournalError> {
        let writer = self.writer.as_mut().ok_or(JournalError::End)?;
        let mut blobs = Vec::new();
        for content in contents {
            let id = writer.put_blob(content.as_bytes()).await?;
            if !blobs.contains(&id) {
                blobs.push(id);
            }
        }
        let record = writer.append(kind, at_ms, payload, blobs).await?;
        (self.seq, self.at_ms) = (record.seq, record.at_ms);
        if let Some((seq, crash)) = self.crash
            && seq == record.seq
        {
            writer.commit(Durability::Effect).await?;
            crash();
        }
        Ok(Noted { seq: record.seq, at_ms: record.at_ms, replayed: false })
    }

    /// What was recorded as coming from outside at this place, if it is of one of these kinds.
    ///
    /// # Errors
    /// When another kind of record stands here, or it cannot be read.
    pub async fn recall(&mut self, kinds: &[&str]) -> Result<Option<(Noted, Value)>, JournalError> {
        self.pass().await?;
        let Some(record) = self.take() else { return Ok(None) };
        self.own.advance();
        if !kinds.contains(&record.kind.as_str()) {
            let now = kinds.join(" or ");
            return Err(JournalError::Diverged { seq: record.seq, recorded: record.kind, now });
        }
        if is_forgotten(&record.payload) {
            return Err(JournalError::Forgotten { seq: record.seq });
        }
        let payload = inflate(&self.store, record.seq, record.payload).await?;
        self.matched += 1;
        Ok(Some((Noted { seq: record.seq, at_ms: record.at_ms, replayed: true }, payload)))
    }

    /// What the next record that is the run's own says, if it is of this kind; it stays where it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn foresee(&mut self, kind: &str) -> Result<Option<Value>, JournalError> {
        let next = self.recorded.iter().find(|record| !Interjection::is_kind(&record.kind));
        let Some(record) = next.filter(|record| record.kind == kind) else { return Ok(None) };
        if is_forgotten(&record.payload) {
            return Err(JournalError::Forgotten { seq: record.seq });
        }
        Ok(Some(inflate(&self.store, record.seq, record.payload.clone()).await?))
    }

    /// Writes what came between two records of the loop's own, now. Only where nothing is left to compare with.
    ///
    /// # Errors
    /// What kept it from being written.
    pub async fn interject(&mut self, what: Interjection) -> Result<(), JournalError> {
        let before_ms = self.at_ms;
        let mut contents = Vec::new();
        let compact = externalise(&serde_json::to_value(&what)?, &mut contents);
        let at_ms = match &what {
            Interjection::Tools { .. } => self.clock.tools(self.own.now(), before_ms),
            Interjection::Resumed { .. } | Interjection::Forked { .. } => self.clock.between(before_ms),
        };
        let noted = self.append(what.kind(), at_ms, compact, &contents).await?;
        self.passed.push(Interjected { what, before_ms, at_ms: noted.at_ms });
        Ok(())
    }

    /// Makes everything noted so far durable.
    ///
    /// # Errors
    /// What kept it from being written.
    pub async fn commit(&mut self, durability: Durability) -> Result<(), JournalError> {
        if let Some(writer) = &mut self.writer {
            writer.commit(durability).await?;
        }
        Ok(())
    }

    /// The last record's place.
    pub fn seq(&self) -> EventSeq {
        self.seq
    }

    /// Makes everything durable, says how the run stands, and gives up the right to write.
    ///
    /// # Errors
    /// What kept it from being written.
    pub async fn close(&mut self, status: RunStatus) -> Result<(), JournalError> {
        if let Some(writer) = self.writer.take() {
            writer.close(status).await?;
        }
        Ok(())
    }
}

/// The payload of a record with its blobs put back.
///
/// # Errors
/// When a blob is missing or not text.
pub async fn inflate(store: &Store, seq: EventSeq, payload: Value) -> Result<Value, JournalError> {
    let mut ids = Vec::new();
    collect_blobs(&payload, &mut ids);
    let mut texts = std::collections::BTreeMap::new();
    for text_id in ids {
        let id: BlobId = text_id
            .parse()
            .map_err(|_| JournalError::Unreadable { seq, reason: format!("`{text_id}` is no blob") })?;
        let bytes = store.blob(&id).await?;
        let text = String::from_utf8(bytes)
            .map_err(|_| JournalError::Unreadable { seq, reason: format!("blob `{text_id}` is not text") })?;
        texts.insert(text_id, text);
    }
    Ok(put_back(payload, &texts))
}

/// Whether a record's content was removed for good.
pub fn is_forgotten(payload: &Value) -> bool {
    payload.get("$forgotten").is_some()
}

fn collect_blobs(value: &Value, ids: &mut Vec<String>) {
    match value {
        Value::Object(fields) => match blob_reference(fields) {
            Some(id) => ids.push(id.to_owned()),
            None => fields.values().for_each(|value| collect_blobs(value, ids)),
        },
        Value::Array(items) => items.iter().for_each(|value| collect_blobs(value, ids)),
        _ => {}
    }
}

fn put_back(value: Value, texts: &std::collections::BTreeMap<String, String>) -> Value {
    match value {
        Value::Object(fields) => match blob_reference(&fields).and_then(|id| texts.get(id)) {
            Some(text) => Value::String(text.clone()),
            None => {
                Value::Object(fields.into_iter().map(|(key, value)| (key, put_back(value, texts))).collect())
            }
        },
        Value::Array(items) => Value::Array(items.into_iter().map(|value| put_back(value, texts)).collect()),
        other => other,
    }
}

fn blob_reference(fields: &Map<String, Value>) -> Option<&str> {
    if fields.len() == 1 { fields.get(BLOB_KEY).and_then(Value::as_str) } else { None }
}

/// The value with long strings replaced by references; their contents are added to `contents`.
fn externalise(value: &Value, contents: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) if text.len() > INLINE_BYTES => {
            contents.push(text.clone());
            json!({BLOB_KEY: BlobId::of(text.as_bytes()).to_string()})
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| externalise(item, contents)).collect()),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(key, value)| (key.clone(), externalise(value, contents))).collect(),
        ),
        other => other.clone(),
    }
}

/// The parts of `payload` that differ from `other`, short enough to read.
fn excerpt(kind: &str, payload: &Value, other: &Value) -> String {
    let difference = super::delta::diff(other, payload).unwrap_or(Value::Null);
    let text: String = difference.to_string().chars().take(400).collect();
    format!("`{kind}` {text}")
}

/// The clock, milliseconds since 1970. Only the driver reads it.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
