//! Exports a run as JSON lines that [`Importer`](super::Importer) reads in another home.
//!
//! The order of lines: the run; each record, preceded by the blobs that it is the first to reference; an end
//! line, by which a reader detects a truncated file.

use super::fork::is_forgotten;
use super::{EventSeq, Record, RecordPages, RecordQuery, RunId, RunStatus};
use crate::{BlobId, Error, Hash, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashSet, VecDeque};

/// Version of the export format. [`Importer`](super::Importer) rejects any other.
pub const EXPORT_VERSION: u32 = 1;

const PAGE: usize = 256;

/// One line of an exported run, tagged by the field `line`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case", deny_unknown_fields)]
pub enum ExportLine {
    /// The first line.
    Run(ExportedRun),
    /// A blob. Either `text` or `hex` is present; both are absent if the content was forgotten.
    Blob {
        /// Address of the content.
        id: BlobId,
        /// The content, if it is valid UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// The content in hexadecimal, if it is not valid UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hex: Option<String>,
    },
    /// A record, in the order of the log.
    Record(ExportedRecord),
    /// The last line.
    End {
        /// Number of exported records.
        records: u64,
        /// Hash of the last exported record.
        head: Hash,
    },
}

/// The header of an exported run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedRun {
    /// Always [`EXPORT_VERSION`] when written.
    pub sojourn_log: u32,
    /// Id of the run.
    pub id: RunId,
    /// Creation time, in milliseconds since 1970.
    pub created_ms: i64,
    /// Name of the environment.
    pub environment: String,
    /// Name of the controller model.
    pub model: String,
    /// For a fork: the parent run and the last record that both share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<(RunId, EventSeq)>,
    /// The user's name for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Status of the run; a run that is exported in part is `Paused`.
    pub status: RunStatus,
}

/// A record without the fields that the importer recomputes (`run` and `prev_hash`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedRecord {
    /// Sequence number, from 1.
    pub seq: EventSeq,
    /// Time of the event, in milliseconds since 1970.
    pub at_ms: i64,
    /// Kind of the event, which determines the shape of `payload`.
    pub kind: String,
    /// Content of the event, or the tombstone if it was forgotten.
    pub payload: Value,
    /// Blobs that the payload refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<BlobId>,
    /// Hash of the record. A forgotten record keeps the hash it had before.
    pub hash: Hash,
    /// Whether the content was deleted together with a memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
}

impl ExportedRecord {
    /// The record of `run` after the one with the hash `prev_hash`.
    pub(super) fn chained(self, run: &RunId, prev_hash: Hash) -> Record {
        let Self { seq, at_ms, kind, payload, blobs, hash, .. } = self;
        Record { run: run.clone(), seq, kind, at_ms, payload, blobs, prev_hash, hash }
    }
}

/// Produces the lines of one run. [`Store::export`] creates it.
#[derive(Debug)]
pub struct Exporter {
    store: Store,
    /// Row number of the run.
    no: i64,
    /// The header; `None` once it was emitted.
    run: Option<ExportedRun>,
    pages: RecordPages,
    records: VecDeque<Record>,
    /// Blobs that were emitted already.
    emitted: HashSet<BlobId>,
    /// Sequence number and hash of the last emitted record.
    last: (u64, Hash),
    ended: bool,
}

impl Store {
    /// Starts an export of the run up to and including record `to`, or up to the last durable record.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], [`Error::NoSuchRecord`].
    pub async fn export(&self, run: &RunId, to: Option<EventSeq>) -> Result<Exporter, Error> {
        let row = self.run_row(run).await?;
        let last = row.info.last_seq;
        if let Some(seq) = to.filter(|seq| *seq > last) {
            return Err(Error::NoSuchRecord { run: run.clone(), seq, last });
        }
        let pages = self.record_pages(run, RecordQuery::all().to(to.unwrap_or(last)), PAGE).await?;
        let (genesis, no) = (row.genesis(), row.no);
        let info = row.info;
        let run = ExportedRun {
            sojourn_log: EXPORT_VERSION,
            id: info.id,
            created_ms: info.created_ms,
            environment: info.environment,
            model: info.model,
            parent: info.parent,
            title: info.title,
            status: if to.is_some_and(|seq| seq < last) { RunStatus::Paused } else { info.status },
        };
        let store = self.clone();
        let (records, emitted) = (VecDeque::new(), HashSet::new());
        Ok(Exporter { store, no, run: Some(run), pages, records, emitted, last: (0, genesis), ended: false })
    }
}

impl Exporter {
    /// Returns the next line, or `None` after the last one.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a record or blob is damaged, [`Error::UnknownBlob`] if a blob is missing.
    pub async fn next(&mut self) -> Result<Option<ExportLine>, Error> {
        if let Some(run) = self.run.take() {
            return Ok(Some(ExportLine::Run(run)));
        }
        if self.records.is_empty() {
            self.records.extend(self.pages.next().await?.unwrap_or_default());
        }
        let Some(record) = self.records.front() else {
            let (records, head) = self.last;
            let end = ExportLine::End { records, head };
            return Ok((!std::mem::replace(&mut self.ended, true)).then_some(end));
        };
        if let Some(id) = record.blobs.iter().find(|id| !self.emitted.contains(id)).copied() {
            self.emitted.insert(id);
            return self.blob(id).await.map(Some);
        }
        let Some(record) = self.records.pop_front() else { return Ok(None) };
        self.last = (record.seq.0, record.hash);
        let forgotten = is_forgotten(&self.store, self.no, &record).await?;
        let Record { seq, at_ms, kind, payload, blobs, hash, .. } = record;
        Ok(Some(ExportLine::Record(ExportedRecord { seq, at_ms, kind, payload, blobs, hash, forgotten })))
    }

    async fn blob(&self, id: BlobId) -> Result<ExportLine, Error> {
        let content = match self.store.blob(&id).await {
            Err(Error::ForgottenBlob { .. }) => {
                return Ok(ExportLine::Blob { id, text: None, hex: None });
            }
            content => content?,
        };
        Ok(match String::from_utf8(content) {
            Ok(text) => ExportLine::Blob { id, text: Some(text), hex: None },
            Err(error) => ExportLine::Blob { id, text: None, hex: Some(hex::encode(error.as_bytes())) },
        })
    }
}
