use super::lock::RunLock;
use super::record::VERSION;
use super::run::RunRow;
use super::{EventSeq, Record, RunId, RunStatus};
use crate::canonical::stored_json;
use crate::{BlobId, Error, Hash, Store, blobs, compression};
use serde_json::Value;
use sqlx::{Connection, Row, SqliteConnection};
use std::collections::{BTreeMap, HashSet};

/// How many records wait in memory before they are written together.
const GROUP_RECORDS: usize = 64;
/// How many bytes of blobs wait before they are written.
const GROUP_BYTES: usize = 8 << 20;

/// What a [`Writer::commit`] promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Everything appended so far is on the disk when the call returns. Use it around every effect on the
    /// world: the intent before, the result after.
    Effect,
    /// It may wait until 64 records have gathered or something asks for [`Durability::Effect`].
    Group,
}

/// The sole right to append to a run.
///
/// Records are chained as they are appended and written in transactions of up to 64. Dropping the writer
/// without a commit, or the death of the process, loses at most the records of the last unfinished group;
/// what remains is a shorter chain, never a broken one. After an error nothing is half-written and nothing
/// that was appended is lost: the same call can be made again.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    /// Taken away while a transaction is under way, so that a failed or cancelled one is never built upon.
    connection: Option<SqliteConnection>,
    run: RunId,
    /// The run's row.
    no: i64,
    /// The last record that was appended, durable or not.
    last: EventSeq,
    /// Its hash.
    head: Hash,
    /// Appended and not yet durable.
    queue: Vec<Queued>,
    /// Blobs that are written with the queue.
    blobs: BTreeMap<BlobId, Vec<u8>>,
    blob_bytes: usize,
    /// Blobs known to be stored.
    stored: HashSet<BlobId>,
    /// Last, so that the connection is closed before the right to write is given up.
    _lock: RunLock,
}

/// A record as its row will be.
#[derive(Debug)]
pub(super) struct Queued {
    seq: EventSeq,
    at_ms: i64,
    kind: String,
    payload: Stored,
    blobs: Option<Vec<u8>>,
    hash: Hash,
}

#[derive(Debug)]
enum Stored {
    Text(String),
    Compressed(Vec<u8>),
}

impl Writer {
    pub(super) async fn new(
        store: Store,
        mut connection: SqliteConnection,
        lock: RunLock,
        run: &RunId,
    ) -> Result<Self, Error> {
        // As a write transaction, this waits for one that a dropped writer may have left on its way.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let found = RunRow::find(&mut transaction, run).await?;
        transaction.rollback().await?;
        let row = found.ok_or_else(|| Error::NoSuchRun { name: run.to_string(), nearest: None })?;
        Ok(Self {
            store,
            connection: Some(connection),
            run: run.clone(),
            no: row.no,
            last: row.info.last_seq,
            head: row.head,
            queue: Vec::new(),
            blobs: BTreeMap::new(),
            blob_bytes: 0,
            stored: HashSet::new(),
            _lock: lock,
        })
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The last record that was appended, durable or not; 0 before the first.
    pub fn last_seq(&self) -> EventSeq {
        self.last
    }

    /// The hash of that record, or what the first one will be chained to.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// Keeps content to be referred to by a record; it becomes durable not later than that record.
    ///
    /// # Errors
    /// If too much was waiting and could not be written; then nothing was added.
    pub async fn put_blob(&mut self, content: &[u8]) -> Result<BlobId, Error> {
        let id = BlobId::of(content);
        if self.blobs.contains_key(&id) || self.stored.contains(&id) {
            return Ok(id);
        }
        if self.blob_bytes + content.len() > GROUP_BYTES && self.blob_bytes > 0 {
            self.flush().await?;
        }
        self.blob_bytes += content.len();
        self.blobs.insert(id, content.to_owned());
        Ok(id)
    }

    /// Adds an event to the run. It is durable after the next [`commit`](Self::commit) for an effect.
    ///
    /// # Errors
    /// [`Error::TooDeep`] for a payload, [`Error::UnknownBlob`] for a blob that was not put before, or what
    /// kept a full group from being written. In every case nothing was appended.
    pub async fn append(
        &mut self,
        kind: impl Into<String>,
        at_ms: i64,
        payload: Value,
        blobs: Vec<BlobId>,
    ) -> Result<Record, Error> {
        for blob in &blobs {
            self.check_blob(blob).await?;
        }
        let (run, seq, prev_hash) = (self.run.clone(), self.last.next(), self.head);
        let mut record =
            Record { run, seq, kind: kind.into(), at_ms, payload, blobs, prev_hash, hash: prev_hash };
        record.hash = record.expected_hash()?;
        let queued = Queued::new(&record)?;
        if self.queue.len() >= GROUP_RECORDS {
            self.flush().await?;
        }
        self.queue.push(queued);
        self.last = record.seq;
        self.head = record.hash;
        Ok(record)
    }

    /// Makes what was appended durable, as far as `durability` demands.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Busy`] and others; everything is kept, and the call can be repeated.
    pub async fn commit(&mut self, durability: Durability) -> Result<(), Error> {
        match durability {
            Durability::Effect => self.flush().await,
            Durability::Group if self.queue.len() >= GROUP_RECORDS => self.flush().await,
            Durability::Group => Ok(()),
        }
    }

    /// Makes everything durable, says how the run stands, and gives up the right to write.
    pub async fn close(mut self, status: RunStatus) -> Result<(), Error> {
        self.flush().await?;
        self.store.set_status(&self.run, status).await?;
        if let Some(connection) = self.connection.take() {
            connection.close().await?;
        }
        Ok(())
    }

    async fn check_blob(&mut self, blob: &BlobId) -> Result<(), Error> {
        if self.blobs.contains_key(blob) || self.stored.contains(blob) {
            return Ok(());
        }
        if !self.store.has_blob(blob).await? {
            return Err(Error::UnknownBlob { blob: *blob });
        }
        self.stored.insert(*blob);
        Ok(())
    }

    /// Writes all that waits in one transaction.
    async fn flush(&mut self) -> Result<(), Error> {
        if self.queue.is_empty() && self.blobs.is_empty() {
            return Ok(());
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.store.connection().await?,
        };
        self.write(&mut connection).await?;
        self.connection = Some(connection);
        self.queue.clear();
        self.blob_bytes = 0;
        self.stored.extend(std::mem::take(&mut self.blobs).into_keys());
        Ok(())
    }

    async fn write(&mut self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        self.drop_committed(&mut transaction).await?;
        for (id, content) in &self.blobs {
            blobs::insert(&mut transaction, id, content).await?;
        }
        for record in &self.queue {
            record.insert(&mut transaction, self.no).await?;
        }
        if let Some(last) = self.queue.last() {
            sqlx::query("UPDATE runs SET last_seq = ?, last_at_ms = ?, head = ? WHERE no = ?")
                .bind(last.seq.0 as i64)
                .bind(last.at_ms)
                .bind(last.hash.as_bytes().as_slice())
                .bind(self.no)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Drops from the queue what an earlier transaction wrote although its outcome was not learnt (the call
    /// was cancelled, or the error came after the fact).
    async fn drop_committed(&mut self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let row = sqlx::query("SELECT last_seq, head FROM runs WHERE no = ?")
            .bind(self.no)
            .fetch_one(connection)
            .await?;
        let last = EventSeq(row.try_get::<i64, _>(0)? as u64);
        let head: &[u8] = row.try_get(1)?;
        let committed = self.queue.iter().take_while(|record| record.seq <= last).count();
        if committed > 0 {
            if self.queue[committed - 1].hash.as_bytes() != head {
                let place = format!("run `{}`", self.run);
                return Err(Error::Damaged { place, what: "somebody else has written it".to_owned() });
            }
            self.queue.drain(..committed);
        }
        Ok(())
    }
}

impl Queued {
    pub(super) fn new(record: &Record) -> Result<Self, Error> {
        let text = stored_json(&record.payload)?;
        let blobs: Vec<u8> = record.blobs.iter().flat_map(|blob| *blob.0.as_bytes()).collect();
        Ok(Self {
            seq: record.seq,
            at_ms: record.at_ms,
            kind: record.kind.clone(),
            payload: compression::compress(text.as_bytes()).map_or(Stored::Text(text), Stored::Compressed),
            blobs: (!blobs.is_empty()).then_some(blobs),
            hash: record.hash,
        })
    }

    pub(super) async fn insert(&self, connection: &mut SqliteConnection, run: i64) -> Result<(), Error> {
        let query = sqlx::query(
            "INSERT INTO records (run, seq, v, at_ms, kind, blobs, hash, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(run)
        .bind(self.seq.0 as i64)
        .bind(VERSION)
        .bind(self.at_ms)
        .bind(&self.kind)
        .bind(self.blobs.as_deref())
        .bind(self.hash.as_bytes().as_slice());
        let query = match &self.payload {
            Stored::Text(text) => query.bind(text),
            Stored::Compressed(bytes) => query.bind(bytes),
        };
        query.execute(connection).await?;
        Ok(())
    }
}
