//! The log, typed: kinds, payloads, decoding, summaries and documentation.
//!
//! [`record`] declares every kind once. A payload is stored without its kind, which stands in the record's `kind` column;
//! decoding goes by that column. Long strings of a payload stand in blobs ([`blobs`]).

pub mod blobs;
mod declare;
mod record;
pub mod summary;
#[cfg(test)]
mod tests;

pub use record::{
    ControlRecord, Effect, Event, ForkChanges, LogRecord, RecordKind, SkillEvent, TimedControl,
};

use serde::Serialize;
use serde_json::Value;
use sojourn_memory::{EventSeq, Record, Store};
use sojourn_tools::{FailureKind, Media, ToolOutcome};

/// The field that tells the variants of a payload's enum apart in memory. The log stores it as the record's kind.
const TAG: &str = "kind";

/// A payload that knows the kind of its record.
pub trait Payload: Serialize {
    /// The kind.
    fn kind(&self) -> RecordKind;

    /// The payload as the log stores it, before long strings are moved to blobs.
    ///
    /// # Errors
    /// When the payload cannot be written as JSON.
    fn to_payload(&self) -> serde_json::Result<Value> {
        let mut payload = serde_json::to_value(self)?;
        if let Value::Object(fields) = &mut payload {
            fields.shift_remove(TAG);
        }
        Ok(payload)
    }
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error("{0}")]
    Store(#[from] sojourn_memory::Error),
    /// A newer version wrote the record, or another program.
    #[error("record {seq} is of the kind `{kind}`, which this version does not know")]
    UnknownKind {
        /// The record.
        seq: EventSeq,
        /// Its kind.
        kind: String,
    },
    /// The payload does not have the shape of its kind, or a blob is missing.
    #[error("record {seq} cannot be read: {reason}")]
    Unreadable {
        /// The record.
        seq: EventSeq,
        /// The defect of the record.
        reason: String,
    },
    /// The record quoted a memory that was forgotten, and was emptied with it.
    #[error("the content of record {seq} was forgotten: the run cannot be replayed past it")]
    Forgotten {
        /// The record.
        seq: EventSeq,
    },
}

/// A kind that no version of the log has, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no record kind `{0}`")]
pub struct UnknownKind(pub String);

impl RecordKind {
    /// The kind of a record.
    ///
    /// # Errors
    /// [`ReadError::UnknownKind`].
    pub fn of(record: &Record) -> Result<Self, ReadError> {
        record.kind.parse().map_err(|UnknownKind(kind)| ReadError::UnknownKind { seq: record.seq, kind })
    }

    /// Whether `record` is of this kind.
    pub fn is(self, record: &Record) -> bool {
        record.kind == self.as_str()
    }
}

impl std::fmt::Display for RecordKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for RecordKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// Every kind with its documentation, in the order of [`RecordKind::ALL`]. The reference of the log is made of these pairs.
pub fn documented_kinds() -> impl Iterator<Item = (RecordKind, &'static str)> {
    RecordKind::ALL.iter().map(|kind| (*kind, kind.doc()))
}

impl LogRecord {
    /// Reads a record with its blobs; `None` where its content was forgotten.
    ///
    /// # Errors
    /// When a blob is missing, the kind is unknown, or the payload has another shape.
    pub async fn read(store: &Store, record: &Record) -> Result<Option<Self>, ReadError> {
        let kind = RecordKind::of(record)?;
        if blobs::is_forgotten(&record.payload) {
            return Ok(None);
        }
        let payload = blobs::inflate(store, record).await?;
        match Self::decode(kind, payload) {
            Ok(decoded) => Ok(Some(decoded)),
            Err(error) => Err(ReadError::Unreadable { seq: record.seq, reason: error.to_string() }),
        }
    }

    /// Reads a record without its blobs: texts of more than 240 bytes are empty. For readers who look at what happened and not at
    /// what was said; `None` where the content was forgotten.
    ///
    /// # Errors
    /// When the kind is unknown or the payload has another shape.
    pub fn read_without_blobs(record: &Record) -> Result<Option<Self>, ReadError> {
        let kind = RecordKind::of(record)?;
        if blobs::is_forgotten(&record.payload) {
            return Ok(None);
        }
        match Self::decode(kind, blobs::without_blobs(record)) {
            Ok(decoded) => Ok(Some(decoded)),
            Err(error) => Err(ReadError::Unreadable { seq: record.seq, reason: error.to_string() }),
        }
    }

    /// Reads the payload of a record whose content must still be there.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), and [`ReadError::Forgotten`].
    pub async fn require(store: &Store, record: &Record) -> Result<Self, ReadError> {
        Self::read(store, record).await?.ok_or(ReadError::Forgotten { seq: record.seq })
    }

    /// The pictures and sounds that the record shows: those of an outcome, or a picture of the world.
    pub fn media(&self) -> Vec<&Media> {
        match self {
            Self::ControlRecord(control) => match &**control {
                ControlRecord::FrameTaken { frame } => vec![frame],
                _ => Vec::new(),
            },
            Self::Event(event) => match &**event {
                Event::Looked { picture, .. } => picture.iter().collect(),
                Event::ToolAnswered { outcome, .. } => outcome.media().collect(),
                _ => Vec::new(),
            },
            _ => self.outcome().map(|outcome| outcome.media().collect()).unwrap_or_default(),
        }
    }

    /// The outcome of a call; `None` in a record that has none.
    pub fn outcome(&self) -> Option<&ToolOutcome> {
        match self {
            Self::Event(event) => match &**event {
                Event::ToolAnswered { outcome, .. } => Some(outcome),
                _ => None,
            },
            Self::SkillEvent(event) => match &**event {
                SkillEvent::Returned { outcome, .. } => Some(outcome),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the record is the outcome of a call whose effect is unknown.
    pub fn is_effect_unknown(&self) -> bool {
        self.outcome().is_some_and(|outcome| outcome.failure == Some(FailureKind::EffectUnknown))
    }
}

/// A stored payload with the tag that its enum is read by.
fn tagged(kind: RecordKind, mut payload: Value) -> Value {
    if let Value::Object(fields) = &mut payload {
        fields.insert(TAG.to_owned(), Value::from(kind.as_str()));
    }
    payload
}
