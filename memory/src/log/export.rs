//! A run as lines of JSON that another home can take in: the run, each blob before the first record that refers to
//! it, the records, and a last line by which a reader knows that nothing is missing.

use super::fork::is_forgotten;
use super::{EventSeq, Record, RecordPages, RecordQuery, RunId, RunStatus};
use crate::{BlobId, Error, Hash, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashSet, VecDeque};

/// The version of the lines; a reader refuses others.
pub const EXPORT_VERSION: u32 = 1;

const PAGE: usize = 256;

/// One line of an exported run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case", deny_unknown_fields)]
pub enum ExportLine {
    /// The first line.
    Run(ExportedRun),
    /// Content that records refer to. One of `text` and `hex` is there, or neither where it was forgotten.
    Blob {
        /// Its address.
        id: BlobId,
        /// The content, where it is UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// The content in hexadecimal, where it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hex: Option<String>,
    },
    /// A record, in order.
    Record(ExportedRecord),
    /// The last line.
    End {
        /// How many records there were.
        records: u64,
        /// The hash of the last one.
        head: Hash,
    },
}

/// The particulars of an exported run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedRun {
    /// [`EXPORT_VERSION`].
    pub sojourn_log: u32,
    /// Its name.
    pub id: RunId,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// The environment's name.
    pub environment: String,
    /// The controller model's name.
    pub model: String,
    /// The last record that it shares with the run it branched off, if it is a fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<(RunId, EventSeq)>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How it stands.
    pub status: RunStatus,
}

/// A record without what its reader computes again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedRecord {
    /// Its place, from 1.
    pub seq: EventSeq,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What sort of event.
    pub kind: String,
    /// What happened.
    pub payload: Value,
    /// Blobs that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<BlobId>,
    /// Its hash; where the content was forgotten, the one it had.
    pub hash: Hash,
    /// Whether its content was removed with a memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
}

/// The lines of a run, one after another.
#[derive(Debug)]
pub struct Exporter {
    store: Store,
    /// The run's row.
    no: i64,
    /// Taken when it was emitted.
    run: Option<ExportedRun>,
    pages: RecordPages,
    records: VecDeque<Record>,
    /// Blobs that were emitted already.
    emitted: HashSet<BlobId>,
    /// The last record that was emitted, and its hash.
    last: (u64, Hash),
    ended: bool,
}

impl Store {
    /// Begins to export a run up to and with the record `to`, or what is durable of it now.
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
    /// The next line, or `None` after the last.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::UnknownBlob`] for what cannot be emitted as it was written.
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
