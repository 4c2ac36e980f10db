//! Forks: a new run that starts with a copy of another run's first records.

use super::hold::Hold;
use super::reader::{damaged, decode, fetch};
use super::record::VERSION;
use super::{EventSeq, NewRun, Record, RecordQuery, RunId, Writer, run};
use crate::canonical::stored_json;
use crate::memories::TOMBSTONE;
use crate::{Error, Hash, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sojourn_database::{Access, Connection, Stored, query};

/// Kind of the first record that a fork writes itself.
pub const FORKED: &str = "forked";

const PAGE: usize = 512;

/// The record at which a fork branches off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkPoint {
    /// The parent run.
    pub run: RunId,
    /// The last record that parent and fork share.
    pub seq: EventSeq,
    /// Hash of that record in the parent.
    pub hash: Hash,
}

impl Store {
    /// Creates a run with copies of the first `at` records of `parent`, and opens it for writing.
    ///
    /// Copies keep their sequence numbers, times, payloads and blobs. Their hashes are recomputed from the
    /// fork's own genesis hash, so a fork verifies without its parent. A record of kind [`FORKED`] follows
    /// the copies, with the payload `{"forked_from": {run, seq, hash}, "changes": …}`. The whole fork is
    /// written in one transaction.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`] or [`Error::NoSuchRecord`] if parent or record do not exist; [`Error::Damaged`]
    /// if a parent record fails its hash; [`Error::RunExists`]; [`Error::Locked`]; [`Error::TooDeep`] for
    /// `changes`.
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
        let lock = Hold::lock(self, &new.id).await?;
        let mut connection = self.connection().await?;
        let mut transaction = connection.begin(Access::Append).await?;
        let (no, genesis) = run::insert(&mut transaction, &new, Some(&branch)).await?;
        // A fork of an imported run counts as imported.
        query(
            "INSERT INTO imported_runs (run, last) \
             SELECT ?1, CASE WHEN last < ?2 THEN last ELSE ?2 END FROM imported_runs WHERE run = ?3",
        )
        .bind(no)
        .bind(at.0 as i64)
        .bind(origin.no)
        .execute(&mut *transaction)
        .await?;
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
                // A forgotten record is copied in its present state: a tombstone.
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

impl Store {
    /// Whether the run, or the run that it was forked from, was recorded in another home and imported.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], or the store cannot be read.
    pub async fn is_imported(&self, run: &RunId) -> Result<bool, Error> {
        Ok(self.imported_until(run).await?.is_some())
    }

    /// The last record of the run that was written in another home; `None` for a run of this home.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], or the store cannot be read.
    pub async fn imported_until(&self, run: &RunId) -> Result<Option<EventSeq>, Error> {
        let row = self.run_row(run).await?;
        let mark = query("SELECT last FROM imported_runs WHERE run = ?").bind(row.no);
        let Some(mark) = mark.fetch_optional(&self.pool).await? else { return Ok(None) };
        Ok(Some(EventSeq(u64::try_from(mark.try_get::<i64, _>(0)?).unwrap_or(0))))
    }
}

/// Whether the record's content was forgotten. `run` is the row number of the run.
pub(super) async fn is_forgotten(store: &Store, run: i64, record: &Record) -> Result<bool, Error> {
    if stored_json(&record.payload)? != TOMBSTONE {
        return Ok(false);
    }
    let query = query("SELECT 1 FROM forgotten_records WHERE run = ? AND seq = ?");
    Ok(query.bind(run).bind(record.seq.0 as i64).fetch_optional(&store.pool).await?.is_some())
}

/// Writes the records of a fork inside a transaction.
struct Copy {
    /// Row number of the parent.
    from: i64,
    /// Row number of the fork.
    to: i64,
    run: RunId,
    /// Hash of the last record written to the fork.
    head: Hash,
}

impl Copy {
    /// Copies one record of the parent. The stored bytes stay the same; only the hash is the fork's own.
    async fn record(&mut self, connection: &mut Connection<'_>, record: Record) -> Result<(), Error> {
        let own = self.chained(record)?;
        query(
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

    /// Appends the [`FORKED`] record and updates the fork's row.
    async fn begin(
        &mut self,
        connection: &mut Connection<'_>,
        seq: EventSeq,
        at_ms: i64,
        payload: Value,
    ) -> Result<(), Error> {
        let (run, kind) = (self.run.clone(), FORKED.to_owned());
        let (prev_hash, hash) = (self.head, self.head);
        let own =
            self.chained(Record { run, seq, kind, at_ms, payload, blobs: Vec::new(), prev_hash, hash })?;
        let payload = stored_json(&own.payload)?;
        query("INSERT INTO records (run, seq, v, at_ms, kind, hash, payload) VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(self.to)
            .bind(seq.0 as i64)
            .bind(VERSION)
            .bind(at_ms)
            .bind(FORKED)
            .bind(own.hash.as_bytes().as_slice())
            .bind(Stored(&payload))
            .execute(&mut *connection)
            .await?;
        query("UPDATE runs SET last_seq = ?, last_at_ms = ?, head = ? WHERE no = ?")
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
