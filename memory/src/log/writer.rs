use super::heads::{Head, HeadFile, noted};
use super::hold::Hold;
use super::lock::RunLock;
use super::reader::damaged;
use super::record::VERSION;
use super::run::RunRow;
use super::{EventSeq, Record, RunId, RunStatus};
use crate::canonical::stored_json;
use crate::{BlobId, Error, Hash, Store, blobs, compression};
use serde_json::Value;
use sojourn_database::{Access, Connection, query};
use sqlx::AssertSqlSafe;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// Number of records that are buffered for one transaction (group commit).
const GROUP_RECORDS: usize = 64;
/// Number of buffered blob bytes that triggers a flush.
const GROUP_BYTES: usize = 8 << 20;
/// How long a server that cannot be reached is waited for before a flush fails, and the pause between two attempts.
const PATIENCE: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_millis(200);

/// What [`Writer::commit`] guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// All appended records are on disk when the call returns. Callers use it before and after every external
    /// effect.
    Effect,
    /// Records may stay in the buffer until 64 have accumulated or a caller asks for [`Durability::Effect`].
    Group,
}

/// Appends records to one run and holds the run's lock.
///
/// [`append`](Self::append) chains records in memory; a flush writes up to 64 of them in one transaction.
/// Dropping the writer without a commit, or killing the process, loses at most the buffered records; the
/// stored chain stays valid. After an error nothing is half-written and no appended record is lost, so the
/// caller can repeat the call.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    /// `None` during a transaction, so that a failed or cancelled transaction's connection is not reused.
    connection: Option<Connection<'static>>,
    run: RunId,
    /// Row number of the run.
    no: i64,
    /// Last appended record, durable or not.
    last: EventSeq,
    /// Hash of that record.
    head: Hash,
    /// Appended records that are not durable yet.
    queue: Vec<Queued>,
    /// Blobs that will be written together with `queue`.
    blobs: BTreeMap<BlobId, Vec<u8>>,
    blob_bytes: usize,
    /// Blobs that are known to be stored.
    stored: HashSet<BlobId>,
    /// In a home.
    head_file: Option<HeadFile>,
    /// The last field: the connection is closed before the lock is released.
    hold: Hold,
}

/// A record, encoded for its row.
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
        mut connection: Connection<'static>,
        lock: Option<RunLock>,
        run: &RunId,
    ) -> Result<Self, Error> {
        let hold = Hold::of(&store, run, lock).await?;
        // A write transaction waits for a transaction that a dropped writer may have left open.
        let mut transaction = connection.begin(Access::Append).await?;
        let found = RunRow::find(&mut transaction, run).await?;
        transaction.rollback().await?;
        let row = found.ok_or_else(|| Error::NoSuchRun { name: run.to_string(), nearest: None })?;
        let present = Head { run: run.clone(), seq: row.info.last_seq, hash: row.head };
        let head_file = store.own_home().map(|home| head_file(home, &present)).transpose()?;
        Ok(Self {
            store,
            head_file,
            connection: Some(connection),
            run: run.clone(),
            no: row.no,
            last: row.info.last_seq,
            head: row.head,
            queue: Vec::new(),
            blobs: BTreeMap::new(),
            blob_bytes: 0,
            stored: HashSet::new(),
            hold,
        })
    }

    /// Id of the run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Sequence number of the last appended record, durable or not; 0 for an empty run.
    pub fn last_seq(&self) -> EventSeq {
        self.last
    }

    /// Hash of that record, or the genesis hash for an empty run.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// Buffers a blob for a record to reference. The blob becomes durable with that record or earlier.
    ///
    /// # Errors
    /// Any error of flushing a full buffer. The blob is not buffered then.
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

    /// Appends an event. The next [`commit`](Self::commit) with [`Durability::Effect`] makes it durable.
    ///
    /// # Errors
    /// [`Error::TooDeep`] for the payload, [`Error::UnknownBlob`] for a blob that is not stored, or any error
    /// of flushing a full buffer. The event is not appended then.
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

    /// Makes appended records durable, as far as `durability` demands.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Busy`] and others. The buffer is kept, and the caller can repeat the
    /// call.
    pub async fn commit(&mut self, durability: Durability) -> Result<(), Error> {
        match durability {
            Durability::Effect => self.flush().await,
            Durability::Group if self.queue.len() >= GROUP_RECORDS => self.flush().await,
            Durability::Group => Ok(()),
        }
    }

    /// Flushes the buffer, stores the run's status, and releases the lock.
    pub async fn close(mut self, status: RunStatus) -> Result<(), Error> {
        self.flush().await?;
        self.hold.set_status(&self.store, &self.run, status).await?;
        if let Some(connection) = self.connection.take() {
            connection.close().await?;
        }
        self.hold.release().await
    }

    /// Stores the run's status.
    pub(super) async fn set_status(&self, status: RunStatus) -> Result<(), Error> {
        self.hold.set_status(&self.store, &self.run, status).await
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

    /// Writes the whole buffer in one transaction. A server that restarts meanwhile is waited for.
    async fn flush(&mut self) -> Result<(), Error> {
        if self.queue.is_empty() && self.blobs.is_empty() {
            return Ok(());
        }
        let since = Instant::now();
        loop {
            match self.flush_once().await {
                Err(Error::Unreachable(error)) if since.elapsed() < PATIENCE => {
                    tracing::warn!(%error, run = %self.run, "the store's server cannot be reached; trying again");
                    tokio::time::sleep(RETRY).await;
                }
                result => return result,
            }
        }
    }

    async fn flush_once(&mut self) -> Result<(), Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.store.connection().await?,
        };
        self.write(&mut connection).await?;
        self.connection = Some(connection);
        self.queue.clear();
        self.blob_bytes = 0;
        self.stored.extend(std::mem::take(&mut self.blobs).into_keys());
        // All that was appended is in the database now.
        let head = Head { run: self.run.clone(), seq: self.last, hash: self.head };
        self.head_file.as_mut().map_or(Ok(()), |file| file.note(&head))
    }

    async fn write(&mut self, connection: &mut Connection<'_>) -> Result<(), Error> {
        let mut transaction = connection.begin(Access::Append).await?;
        self.drop_committed(&mut transaction).await?;
        for (id, content) in &self.blobs {
            blobs::insert(&mut transaction, id, content).await?;
        }
        if let Some(last) = self.queue.last() {
            insert(&mut transaction, self.no, &self.queue).await?;
            query("UPDATE runs SET last_seq = ?, last_at_ms = ?, head = ? WHERE no = ?")
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

    /// Drops buffered records that an earlier transaction committed although its call was cancelled or failed
    /// afterwards.
    async fn drop_committed(&mut self, connection: &mut Connection<'_>) -> Result<(), Error> {
        let row = self.hold.check(connection, self.no).await?;
        let last = EventSeq(row.try_get::<i64, _>(0)? as u64);
        let head: &[u8] = row.try_get(1)?;
        let committed = self.queue.iter().take_while(|record| record.seq <= last).count();
        if committed > 0 {
            if self.queue[committed - 1].hash.as_bytes() != head {
                let place = format!("run `{}`", self.run);
                return Err(Error::Damaged { place, what: "another writer appended to it".to_owned() });
            }
            self.queue.drain(..committed);
        }
        Ok(())
    }
}

/// The head file of a home's run, after the run was compared with what it named before.
fn head_file(home: &Path, present: &Head) -> Result<HeadFile, Error> {
    let run = &present.run;
    if let Some(known) = noted(home, run)? {
        if known.seq > present.seq {
            return Err(Error::Cut { run: run.clone(), last: present.seq, known: known.seq });
        }
        if known.seq == present.seq && known.hash != present.hash {
            return Err(damaged(run, present.seq, format!("its hash is not the one in `heads/{run}`")));
        }
    }
    let mut file = HeadFile::open(home, run)?;
    file.note(present)?;
    Ok(file)
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

    pub(super) async fn insert(&self, connection: &mut Connection<'_>, run: i64) -> Result<(), Error> {
        insert(connection, run, std::slice::from_ref(self)).await
    }
}

/// Inserts records with one statement: a server is asked once, not once for each.
async fn insert(connection: &mut Connection<'_>, run: i64, records: &[Queued]) -> Result<(), Error> {
    let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; records.len()].join(", ");
    let sql = format!("INSERT INTO records (run, seq, v, at_ms, kind, blobs, hash, payload) VALUES {rows}");
    let query = records.iter().fold(query(AssertSqlSafe(sql)), |query, record| {
        let query = query
            .bind(run)
            .bind(record.seq.0 as i64)
            .bind(VERSION)
            .bind(record.at_ms)
            .bind(&record.kind)
            .bind(record.blobs.as_deref())
            .bind(record.hash.as_bytes().as_slice());
        match &record.payload {
            Stored::Text(text) => query.bind(sojourn_database::Stored(text)),
            Stored::Compressed(bytes) => query.bind(bytes),
        }
    });
    query.execute(connection).await?;
    Ok(())
}
