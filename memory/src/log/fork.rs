//! A new run that shares the beginning of another and goes on differently.

use super::lock::RunLock;
use super::reader::{damaged, decode, fetch};
use super::record::VERSION;
use super::{EventSeq, NewRun, Record, RecordQuery, RunId, Writer, run};
use crate::canonical::stored_json;
use crate::memories::TOMBSTONE;
use crate::{Error, Hash, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

/// The kind of the record with which a fork begins its own part.
pub const FORKED: &str = "forked";

const PAGE: usize = 512;

/// The last record that a fork has in common with the run it branched off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkPoint {
    /// The run it branched off.
    pub run: RunId,
    /// The record.
    pub seq: EventSeq,
    /// Its hash there.
    pub hash: Hash,
}

impl Store {
    /// Begins a run with copies of the first `at` records of `parent`, and takes the sole right to write it.
    ///
    /// The copies have the same places, times and payloads; their hashes chain from the fork's own particulars
    /// (so it verifies without its parent), and they refer to the same blobs. The record after them, written at
    /// once, is of the kind [`FORKED`] with the payload `{"forked_from": {run, seq, hash}, "changes": …}`. All of it
    /// is durable when the call returns, or nothing is.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`] and [`Error::NoSuchRecord`] for what is not there, [`Error::Damaged`] for what is not
    /// as it was written, [`Error::RunExists`], [`Error::TooDeep`] for the changes.
    pub async fn fork_run(
        &self,
        parent: &RunId,
        at: EventSeq,
        new: NewRun,
        changes: Value,
    ) -> Result<Writer, Error> {
        let origin = self.run_row(parent).await?;
        if at == EventSeq(0) || at > origin.info.last_seq {
            return Err(Error::NoSuchRecord { run: parent.clone(), seq: at, last: origin.info.last_seq });
        }
        let branch = (parent.clone(), at);
        let lock = RunLock::take(self.home(), &new.id).await?;
        let mut connection = self.connection().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let (no, genesis) = run::insert(&mut transaction, &new, Some(&branch)).await?;
        let mut copy = Copy { from: origin.no, to: no, run: new.id.clone(), head: genesis };
        let mut shared = ForkPoint { run: parent.clone(), seq: EventSeq(0), hash: origin.genesis() };
        while shared.seq < at {
            let query = RecordQuery::from(shared.seq.next()).to(at);
            let rows = fetch(self, origin.no, &query, PAGE).await?;
            if rows.is_empty() {
                return Err(damaged(parent, shared.seq.next(), "the record is missing"));
            }
            for row in &rows {
                let record = decode(row, parent, origin.genesis())?;
                // What was forgotten is copied as it is now, without its content.
                let whole =
                    record.expected_hash()? == record.hash || is_forgotten(self, origin.no, &record).await?;
                if record.seq != shared.seq.next() || record.prev_hash != shared.hash || !whole {
                    return Err(damaged(parent, shared.seq.next(), "the record was altered"));
                }
                (shared.seq, shared.hash) = (record.seq, record.hash);
                copy.record(&mut transaction, record).await?;
            }
        }
        let payload = json!({"forked_from": shared, "changes": changes});
        copy.begin(&mut transaction, at.next(), new.created_ms, payload).await?;
        transaction.commit().await?;
        Writer::new(self.clone(), connection, lock, &new.id).await
    }
}

/// Whether the record was emptied with a memory. `run` is the run's row.
pub(super) async fn is_forgotten(store: &Store, run: i64, record: &Record) -> Result<bool, Error> {
    if stored_json(&record.payload)? != TOMBSTONE {
        return Ok(false);
    }
    let query = sqlx::query("SELECT 1 FROM forgotten_records WHERE run = ? AND seq = ?");
    Ok(query.bind(run).bind(record.seq.0 as i64).fetch_optional(&store.pool).await?.is_some())
}

/// A fork that is being written.
struct Copy {
    /// The parent's row.
    from: i64,
    /// The fork's row.
    to: i64,
    run: RunId,
    /// The hash of the last record of the fork.
    head: Hash,
}

impl Copy {
    /// Adds one record of the parent: what is stored stays byte for byte, the hash is the fork's.
    async fn record(&mut self, connection: &mut SqliteConnection, record: Record) -> Result<(), Error> {
        let own = self.chained(record)?;
        sqlx::query(
            "INSERT INTO records (run, seq, v, at_ms, kind, payload, blobs, hash) \
             SELECT ?1, seq, v, at_ms, kind, payload, blobs, ?2 FROM records WHERE run = ?3 AND seq = ?4",
        )
        .bind(self.to)
        .bind(own.hash.as_bytes().as_slice())
        .bind(self.from)
        .bind(own.seq.0 as i64)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Adds the fork's own first record and says in its row where it stands.
    async fn begin(
        &mut self,
        connection: &mut SqliteConnection,
        seq: EventSeq,
        at_ms: i64,
        payload: Value,
    ) -> Result<(), Error> {
        let (run, kind) = (self.run.clone(), FORKED.to_owned());
        let (prev_hash, hash) = (self.head, self.head);
        let own =
            self.chained(Record { run, seq, kind, at_ms, payload, blobs: Vec::new(), prev_hash, hash })?;
        sqlx::query(
            "INSERT INTO records (run, seq, v, at_ms, kind, hash, payload) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(self.to)
        .bind(seq.0 as i64)
        .bind(VERSION)
        .bind(at_ms)
        .bind(FORKED)
        .bind(own.hash.as_bytes().as_slice())
        .bind(stored_json(&own.payload)?)
        .execute(&mut *connection)
        .await?;
        sqlx::query("UPDATE runs SET last_seq = ?, last_at_ms = ?, head = ? WHERE no = ?")
            .bind(seq.0 as i64)
            .bind(at_ms)
            .bind(own.hash.as_bytes().as_slice())
            .bind(self.to)
            .execute(connection)
            .await?;
        Ok(())
    }

    fn chained(&mut self, mut record: Record) -> Result<Record, Error> {
        record.run = self.run.clone();
        record.prev_hash = self.head;
        record.hash = record.expected_hash()?;
        self.head = record.hash;
        Ok(record)
    }
}
