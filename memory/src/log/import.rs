//! Takes an exported run in. Whatever the lines say, the home changes only once all of them have proved true.

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

/// The longest line that is read, in bytes.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Why an exported run was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line is not what may stand there.
    #[error("line {line}: {what}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The last line is missing.
    #[error("the export is cut off after line {line}")]
    Cut {
        /// The last line that is there.
        line: u64,
    },
    /// The home could not take it.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Takes in one run, line by line. Dropped before [`finish`](Self::finish), nothing has happened.
#[derive(Debug)]
pub struct Importer {
    store: Store,
    /// A transaction is open on it from the first line on.
    connection: SqliteConnection,
    /// Lines read.
    line: u64,
    run: Option<Incoming>,
    blobs: HashSet<BlobId>,
    ended: bool,
}

/// The run that comes in.
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
    /// Prepares to take in an exported run.
    pub async fn import(&self) -> Result<Importer, Error> {
        let (store, connection) = (self.clone(), self.connection().await?);
        Ok(Importer { store, connection, line: 0, run: None, blobs: HashSet::new(), ended: false })
    }
}

impl Importer {
    /// Takes the next line in. After an error the import is over.
    ///
    /// # Errors
    /// [`ImportError::Line`] for a line that is not true or not in its place; [`Error::RunExists`].
    pub async fn line(&mut self, text: &str) -> Result<(), ImportError> {
        self.line += 1;
        if text.len() > MAX_LINE_BYTES {
            return Err(self.bad(format!("it is longer than {} MiB", MAX_LINE_BYTES >> 20)));
        }
        let line: ExportLine = serde_json::from_str(text).map_err(|error| self.bad(error.to_string()))?;
        if self.ended {
            return Err(self.bad("it stands after the end"));
        }
        match (line, self.run.is_some()) {
            (ExportLine::Run(run), false) => self.run(run).await,
            (ExportLine::Run(_), true) => Err(self.bad("a second run begins")),
            (_, false) => Err(self.bad("the first line has to say which run it is")),
            (ExportLine::Blob { id, text, hex }, true) => self.blob(id, text, hex).await,
            (ExportLine::Record(record), true) => self.record(record).await,
            (ExportLine::End { records, head }, true) => self.end(records, head),
        }
    }

    /// Makes the run durable.
    ///
    /// # Errors
    /// [`ImportError::Cut`] if the last line was not there.
    pub async fn finish(mut self) -> Result<RunId, ImportError> {
        let Some(run) = self.run.take().filter(|_| self.ended) else {
            return Err(ImportError::Cut { line: self.line });
        };
        sqlx::query("UPDATE runs SET last_seq = ?, last_at_ms = ?, head = ?, status = ? WHERE no = ?")
            .bind(run.last.0 as i64)
            .bind(run.last_at_ms)
            .bind(run.head.as_bytes().as_slice())
            // Nobody writes it here.
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
            return Err(self.bad(format!("version {found} is not known here, only {EXPORT_VERSION}")));
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
            (None, Some(digits)) => {
                hex::decode(&digits).map_err(|error| self.bad(format!("the blob: {error}")))?
            }
            (None, None) => return self.forgotten_blob(id).await,
            (Some(_), Some(_)) => return Err(self.bad("a blob has one of `text` and `hex`")),
        };
        if BlobId::of(&content) != id {
            return Err(self.bad(format!("the content does not have the hash {id}")));
        }
        blobs::insert(&mut self.connection, &id, &content).await?;
        self.blobs.insert(id);
        Ok(())
    }

    /// One that was forgotten where the run comes from. Where this home has it, it stays.
    async fn forgotten_blob(&mut self, id: BlobId) -> Result<(), ImportError> {
        let query = "INSERT OR IGNORE INTO forgotten_blobs SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE id = ?1)";
        let insert = sqlx::query(query).bind(id.0.as_bytes().as_slice());
        insert.execute(&mut self.connection).await.map_err(Error::from)?;
        self.blobs.insert(id);
        Ok(())
    }

    async fn record(&mut self, record: ExportedRecord) -> Result<(), ImportError> {
        if let Some(blob) = record.blobs.iter().find(|blob| !self.blobs.contains(blob)) {
            return Err(self.bad(format!("blob {blob} did not come before it")));
        }
        let line = self.line;
        let Some(run) = &mut self.run else { return Ok(()) };
        let bad = |what: String| ImportError::Line { line, what };
        if record.seq != run.last.next() {
            return Err(bad(format!("record {} stands where {} belongs", record.seq, run.last.next())));
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
            // Of what it was, only the hash is left; the records after it are chained to that.
            if stored_json(&record.payload)? != TOMBSTONE {
                return Err(bad(format!(
                    "record {} says that it was forgotten, and has content",
                    record.seq
                )));
            }
            record.hash = claimed;
            let insert = sqlx::query("INSERT INTO forgotten_records VALUES (?, ?)");
            let insert = insert.bind(run.no).bind(record.seq.0 as i64).execute(&mut self.connection);
            insert.await.map_err(Error::from)?;
        }
        if record.hash != claimed {
            return Err(bad(format!("record {} does not have the hash it says", record.seq)));
        }
        Queued::new(&record)?.insert(&mut self.connection, run.no).await?;
        (run.last, run.last_at_ms, run.head) = (record.seq, record.at_ms, record.hash);
        Ok(())
    }

    fn end(&mut self, records: u64, head: Hash) -> Result<(), ImportError> {
        let found = self.run.as_ref().map(|run| (run.last.0, run.head));
        if found != Some((records, head)) {
            return Err(self.bad("the end tells of other records than there were"));
        }
        self.ended = true;
        Ok(())
    }
}
