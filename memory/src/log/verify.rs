use super::reader::{decode, fetch, text};
use super::{EventSeq, Record, RecordQuery, RunId};
use crate::canonical::stored_json;
use crate::memories::TOMBSTONE;
use crate::{BlobId, Error, Hash, Store, blobs};
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::collections::HashSet;

const PAGE: usize = 256;

/// What checking a run found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The run.
    pub run: RunId,
    /// Records that are as they were written.
    pub records: u64,
    /// Different blobs of theirs that are.
    pub blobs: u64,
    /// Bytes of payloads and blobs that were read, before compression.
    pub bytes: u64,
    /// Records and blobs whose content was removed with a memory: they have their place and hash only.
    pub forgotten: u64,
    /// The first thing that is not as it was written. Nothing after it was looked at.
    pub first_fault: Option<Fault>,
}

impl VerifyReport {
    fn new(run: &RunId) -> Self {
        Self { run: run.clone(), records: 0, blobs: 0, bytes: 0, forgotten: 0, first_fault: None }
    }

    /// Whether everything is as it was written.
    pub fn is_intact(&self) -> bool {
        self.first_fault.is_none()
    }
}

/// Something in the log that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The record; 0 for the run's own row.
    pub seq: EventSeq,
    /// What sort of fault.
    pub kind: FaultKind,
    /// In words.
    pub detail: String,
}

/// The sorts of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The record is not there.
    Missing,
    /// It cannot be read.
    Unreadable,
    /// It does not have the hash it says.
    Altered,
    /// A blob it refers to is not there.
    BlobMissing,
    /// A blob it refers to is not what was stored.
    BlobAltered,
    /// The run's own row cannot be read, or it contradicts the last record.
    Head,
}

impl Store {
    /// Reads a run from its first record to its last and checks that places have no gaps, that every record
    /// has its hash and is chained to the one before it, and that its blobs are there and whole.
    ///
    /// `progress` is told how many records of how many are done. Damage is reported, not returned as an
    /// error, down to damage of the database file itself.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], or the database could not be read at all.
    pub async fn verify(
        &self,
        run: &RunId,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<VerifyReport, Error> {
        let row = match self.exactly(run).await {
            Err(Error::Damaged { what, .. }) => {
                let fault = Fault { seq: EventSeq(0), kind: FaultKind::Head, detail: what };
                return Ok(VerifyReport { first_fault: Some(fault), ..VerifyReport::new(run) });
            }
            row => row?,
        };
        let last = row.info.last_seq;
        let mut check = Check {
            store: self,
            genesis: row.genesis(),
            head: row.genesis(),
            blobs_seen: HashSet::new(),
            report: VerifyReport::new(run),
        };
        let mut done = EventSeq(0);
        while done < last {
            progress(done.0, last.0);
            let rows = match fetch(self, row.no, &RecordQuery::from(done.next()).to(last), PAGE).await {
                Ok(rows) if rows.is_empty() => {
                    return Ok(check.fault(done.next(), FaultKind::Missing, "it is gone"));
                }
                Ok(rows) => rows,
                Err(Error::Damaged { what, .. }) => {
                    return Ok(check.fault(done.next(), FaultKind::Unreadable, what));
                }
                Err(error) => return Err(error),
            };
            for row in &rows {
                done = done.next();
                if let Err((kind, detail)) = check.row(row, done).await? {
                    return Ok(check.fault(done, kind, detail));
                }
            }
        }
        progress(last.0, last.0);
        if check.head != row.head {
            return Ok(check.fault(
                last,
                FaultKind::Head,
                "the run's row says its last record has another hash",
            ));
        }
        Ok(check.report)
    }
}

type Finding = Result<(), (FaultKind, String)>;

/// A verification under way.
struct Check<'a> {
    store: &'a Store,
    genesis: Hash,
    /// The hash of the last record that was found whole.
    head: Hash,
    blobs_seen: HashSet<BlobId>,
    report: VerifyReport,
}

impl Check<'_> {
    fn fault(mut self, seq: EventSeq, kind: FaultKind, detail: impl Into<String>) -> VerifyReport {
        self.report.first_fault = Some(Fault { seq, kind, detail: detail.into() });
        self.report
    }

    async fn row(&mut self, row: &SqliteRow, expected: EventSeq) -> Result<Finding, Error> {
        let record = match decode(row, &self.report.run, self.genesis) {
            Ok(record) => record,
            Err((seq, _)) if seq != expected => return Ok(missing(seq)),
            Err((_, what)) => return Ok(Err((FaultKind::Unreadable, what))),
        };
        if record.seq != expected {
            return Ok(missing(record.seq));
        }
        if self.is_forgotten(&record).await? {
            // Its own hash cannot be computed any more, but the next record is chained to it.
            self.report.forgotten += 1;
            if record.prev_hash != self.head {
                return Ok(Err((FaultKind::Altered, "it is not chained to the record before it".to_owned())));
            }
        } else if let Err(finding) = self.record(row, &record) {
            return Ok(Err(finding));
        }
        for blob in &record.blobs {
            if let Err(finding) = self.blob(blob).await? {
                return Ok(Err(finding));
            }
        }
        self.report.records += 1;
        self.head = record.hash;
        Ok(Ok(()))
    }

    async fn is_forgotten(&self, record: &Record) -> Result<bool, Error> {
        if stored_json(&record.payload)? != TOMBSTONE {
            return Ok(false);
        }
        let listed = sqlx::query(
            "SELECT 1 FROM forgotten_records JOIN runs ON runs.no = run WHERE runs.id = ? AND seq = ?",
        );
        let listed = listed.bind(record.run.as_str()).bind(record.seq.0 as i64);
        Ok(listed.fetch_optional(&self.store.pool).await?.is_some())
    }

    fn record(&mut self, row: &SqliteRow, record: &Record) -> Finding {
        let altered = |what: &str| (FaultKind::Altered, what.to_owned());
        let stored: &[u8] =
            row.try_get("payload").map_err(|error| (FaultKind::Unreadable, error.to_string()))?;
        let text = text(stored).map_err(|what| (FaultKind::Unreadable, what))?;
        self.report.bytes += text.len() as u64;
        // Equal values can be spelt differently (`1e5`, `1E5`); only one of them is what was written.
        if stored_json(&record.payload).is_ok_and(|written| written != text) {
            return Err(altered("its payload is not spelt as it was written"));
        }
        if record.prev_hash != self.head {
            return Err(altered("it is not chained to the record before it"));
        }
        match record.expected_hash() {
            Ok(hash) if hash == record.hash => Ok(()),
            Ok(_) => Err(altered("it does not have the hash it says")),
            Err(error) => Err((FaultKind::Unreadable, error.to_string())),
        }
    }

    async fn blob(&mut self, id: &BlobId) -> Result<Finding, Error> {
        if !self.blobs_seen.insert(*id) {
            return Ok(Ok(()));
        }
        let content = match blobs::read(&mut *self.store.pool.acquire().await?, id).await {
            Ok(Some(Ok(content))) => content,
            Ok(None) if blobs::is_forgotten(self.store, id).await? => {
                self.report.forgotten += 1;
                return Ok(Ok(()));
            }
            Ok(None) => return Ok(Err((FaultKind::BlobMissing, format!("blob `{id}` is gone")))),
            Ok(Some(Err(what))) => return Ok(Err((FaultKind::BlobAltered, format!("blob `{id}`: {what}")))),
            Err(Error::Damaged { what, .. }) => {
                return Ok(Err((FaultKind::BlobAltered, format!("blob `{id}`: {what}"))));
            }
            Err(error) => return Err(error),
        };
        self.report.blobs += 1;
        self.report.bytes += content.len() as u64;
        Ok(Ok(()))
    }
}

fn missing(found: EventSeq) -> Finding {
    Err((FaultKind::Missing, format!("it is gone: the next one is {found}")))
}
