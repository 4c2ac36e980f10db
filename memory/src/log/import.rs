//! Imports an exported run in one transaction: either all lines prove valid, or the home does not change.

use super::export::{EXPORT_VERSION, ExportLine, ExportedRecord, ExportedRun};
use super::lock::RunLock;
use super::run::{NewRun, insert};
use super::writer::Queued;
use super::{EventSeq, Record, RunId, RunStatus};
use crate::canonical::stored_json;
use crate::memories::TOMBSTONE;
use crate::{BlobId, Error, Hash, Store, blobs};
use sqlx::SqliteConnection;
use std::collections::HashSet;

/// Longest accepted line, in bytes.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Why a run was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line is invalid or out of order.
    #[error("line {line}: {what}")]
    Line {
        /// Line number, from 1.
        line: u64,
        /// The defect of the line.
        what: String,
    },
    /// The end line is missing.
    #[error("the export ends after line {line} without its end line")]
    Cut {
        /// Number of the last line that was read.
        line: u64,
    },
    /// The store rejected the run.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Imports one run, line by line. Dropping it before [`finish`](Self::finish) rolls everything back.
#[derive(Debug)]
pub struct Importer {
    store: Store,
    /// Holds an open transaction from the first line on.
    connection: SqliteConnection,
    /// Number of lines read.
    line: u64,
    run: Option<Incoming>,
    blobs: HashSet<BlobId>,
    ended: bool,
}

/// State of the run that is being imported.
#[derive(Debug)]
struct Incoming {
    id: RunId,
    no: i64,
    status: RunStatus,
    last: EventSeq,
    last_at_ms: i64,
    head: Hash,
    _lock: RunLock,
}

impl Store {
    /// Starts an import.
    pub async fn import(&self) -> Result<Importer, Error> {
        let (store, connection) = (self.clone(), self.connection().await?);
        Ok(Importer { store, connection, line: 0, run: None, blobs: HashSet::new(), ended: false })
    }
}

impl Importer {
    /// Reads the next line. After an error the importer cannot continue.
    ///
    /// # Errors
    /// [`ImportError::Line`] if the line is invalid, out of order or fails its hash; [`ImportError::Store`]
    /// with [`Error::RunExists`] if the home has the run.
    pub async fn line(&mut self, text: &str) -> Result<(), ImportError> {
        self.line += 1;
        if text.len() > MAX_LINE_BYTES {
            return Err(self.bad(format!("the line is longer than {} MiB", MAX_LINE_BYTES >> 20)));
        }
        let line: ExportLine = serde_json::from_str(text).map_err(|error| self.bad(error.to_string()))?;
        if self.ended {
            return Err(self.bad("the line follows the end line"));
        }
        match (line, self.run.is_some()) {
            (ExportLine::Run(run), false) => self.run(run).await,
            (ExportLine::Run(_), true) => Err(self.bad("the export holds a second run")),
            (_, false) => Err(self.bad("the first line must be of the type `run`")),
            (ExportLine::Blob { id, text, hex }, true) => self.blob(id, text, hex).await,
            (ExportLine::Record(record), true) => self.record(record).await,
            (ExportLine::End { records, head }, true) => self.end(records, head),
        }
    }

    /// Commits the transaction and returns the id of the run.
    ///
    /// # Errors
    /// [`ImportError::Cut`] if the end line is missing.
    pub async fn finish(mut self) -> Result<RunId, ImportError> {
        let Some(run) = self.run.take().filter(|_| self.ended) else {
            return Err(ImportError::Cut { line: self.line });
        };
        sqlx::query("UPDATE runs SET last_seq = ?, last_at_ms = ?, head = ?, status = ? WHERE no = ?")
            .bind(run.last.0 as i64)
            .bind(run.last_at_ms)
            .bind(run.head.as_bytes().as_slice())
            // No writer exists in this home, so the run cannot be `Running`.
            .bind(if run.status == RunStatus::Running { RunStatus::Paused } else { run.status }.as_str())
            .bind(run.no)
            .execute(&mut self.connection)
            .await
            .map_err(Error::from)?;
        sqlx::query("COMMIT").execute(&mut self.connection).await.map_err(Error::from)?;
        Ok(run.id)
    }

    fn bad(&self, what: impl Into<String>) -> ImportError {
        ImportError::Line { line: self.line, what: what.into() }
    }

    async fn run(&mut self, run: ExportedRun) -> Result<(), ImportError> {
        if run.sojourn_log != EXPORT_VERSION {
            let found = run.sojourn_log;
            return Err(self.bad(format!(
                "export version {found} is not supported; this program reads version {EXPORT_VERSION}"
            )));
        }
        let lock = RunLock::take(self.store.home(), &run.id).await?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.connection).await.map_err(Error::from)?;
        let new = NewRun {
            id: run.id.clone(),
            created_ms: run.created_ms,
            environment: run.environment,
            model: run.model,
            title: run.title,
        };
        let (no, genesis) = insert(&mut self.connection, &new, run.parent.as_ref()).await?;
        let mark = sqlx::query("INSERT INTO imported_runs VALUES (?)").bind(no);
        mark.execute(&mut self.connection).await.map_err(Error::from)?;
        self.run = Some(Incoming {
            id: run.id,
            no,
            status: run.status,
            last: EventSeq(0),
            last_at_ms: run.created_ms,
            head: genesis,
            _lock: lock,
        });
        Ok(())
    }

    async fn blob(
        &mut self,
        id: BlobId,
        text: Option<String>,
        hex: Option<String>,
    ) -> Result<(), ImportError> {
        let content = match (text, hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(digits)) => hex::decode(&digits)
                .map_err(|error| self.bad(format!("invalid hexadecimal in a blob: {error}")))?,
            (None, None) => return self.forgotten_blob(id).await,
            (Some(_), Some(_)) => return Err(self.bad("a blob must not have both `text` and `hex`")),
        };
        if BlobId::of(&content) != id {
            return Err(self.bad(format!("the content of blob `{id}` does not match its hash")));
        }
        blobs::insert(&mut self.connection, &id, &content).await?;
        self.blobs.insert(id);
        Ok(())
    }

    /// Imports a blob whose content was forgotten at its origin. A copy that this home holds is kept.
    async fn forgotten_blob(&mut self, id: BlobId) -> Result<(), ImportError> {
        let query = "INSERT OR IGNORE INTO forgotten_blobs SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE id = ?1)";
        let insert = sqlx::query(query).bind(id.0.as_bytes().as_slice());
        insert.execute(&mut self.connection).await.map_err(Error::from)?;
        self.blobs.insert(id);
        Ok(())
    }

    async fn record(&mut self, record: ExportedRecord) -> Result<(), ImportError> {
        if let Some(blob) = record.blobs.iter().find(|blob| !self.blobs.contains(blob)) {
            return Err(
                self.bad(format!("the record references blob `{blob}`, which no earlier line defines"))
            );
        }
        let line = self.line;
        let Some(run) = &mut self.run else { return Ok(()) };
        let bad = |what: String| ImportError::Line { line, what };
        if record.seq != run.last.next() {
            return Err(bad(format!("found record {}, expected record {}", record.seq, run.last.next())));
        }
        let (claimed, forgotten) = (record.hash, record.forgotten);
        let mut record = Record {
            run: run.id.clone(),
            seq: record.seq,
            kind: record.kind,
            at_ms: record.at_ms,
            payload: record.payload,
            blobs: record.blobs,
            prev_hash: run.head,
            hash: run.head,
        };
        record.hash = record.expected_hash().map_err(|error| bad(error.to_string()))?;
        if forgotten {
            // Only the hash of a forgotten record survives, and the next record is chained to it.
            if stored_json(&record.payload)? != TOMBSTONE {
                return Err(bad(format!("record {} is marked as forgotten but has content", record.seq)));
            }
            record.hash = claimed;
            let insert = sqlx::query("INSERT INTO forgotten_records VALUES (?, ?)");
            let insert = insert.bind(run.no).bind(record.seq.0 as i64).execute(&mut self.connection);
            insert.await.map_err(Error::from)?;
        }
        if record.hash != claimed {
            return Err(bad(format!("record {} does not match its hash", record.seq)));
        }
        Queued::new(&record)?.insert(&mut self.connection, run.no).await?;
        (run.last, run.last_at_ms, run.head) = (record.seq, record.at_ms, record.hash);
        Ok(())
    }

    fn end(&mut self, records: u64, head: Hash) -> Result<(), ImportError> {
        let found = self.run.as_ref().map(|run| (run.last.0, run.head));
        if found != Some((records, head)) {
            return Err(self.bad("the end line does not match the records before it"));
        }
        self.ended = true;
        Ok(())
    }
}
