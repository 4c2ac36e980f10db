use super::record::VERSION;
use super::run::RunRow;
use super::{EventSeq, Record, RunId};
use crate::{BlobId, Error, Hash, Store, compression};
use sojourn_database::Row;
use std::borrow::Cow;

/// Selects records of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordQuery {
    /// First sequence number to return.
    pub from: EventSeq,
    /// Last sequence number to return.
    pub to: Option<EventSeq>,
    /// Kinds to return; all kinds if empty.
    pub kinds: Vec<String>,
    /// Largest number of records to return.
    pub limit: Option<usize>,
}

impl RecordQuery {
    /// Selects every record.
    pub fn all() -> Self {
        Self::default()
    }

    /// Selects records from `seq` on.
    pub fn from(seq: EventSeq) -> Self {
        Self { from: seq, ..Self::default() }
    }

    /// Excludes records after `seq`.
    #[must_use]
    pub fn to(self, seq: EventSeq) -> Self {
        Self { to: Some(seq), ..self }
    }

    /// Excludes all other kinds.
    #[must_use]
    pub fn kinds<K: Into<String>>(self, kinds: impl IntoIterator<Item = K>) -> Self {
        Self { kinds: kinds.into_iter().map(Into::into).collect(), ..self }
    }

    /// Returns at most `limit` records.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// Reads a run page by page. Records that are written during the read are returned too.
#[derive(Debug)]
pub struct RecordPages {
    store: Store,
    run: RunRow,
    genesis: Hash,
    query: RecordQuery,
    size: usize,
}

impl Store {
    /// Returns the durable records that match the query, in order.
    ///
    /// Hashes are not recomputed; [`verify`](Self::verify) does that.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; [`Error::Damaged`] if a record is unreadable.
    pub async fn records(&self, run: &RunId, query: &RecordQuery) -> Result<Vec<Record>, Error> {
        let mut pages = self.record_pages(run, query.clone(), 1024).await?;
        let mut records = Vec::new();
        while let Some(mut page) = pages.next().await? {
            records.append(&mut page);
        }
        Ok(records)
    }

    /// Like [`records`](Self::records) for long runs: returns pages of `size` records.
    pub async fn record_pages(
        &self,
        run: &RunId,
        query: RecordQuery,
        size: usize,
    ) -> Result<RecordPages, Error> {
        let run = self.run_row(run).await?;
        let genesis = run.genesis();
        Ok(RecordPages { store: self.clone(), run, genesis, query, size: size.max(1) })
    }
}

impl RecordPages {
    /// Returns the next page, which is never empty, or `None` at the end. A later call returns records that
    /// were written since.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, Error> {
        let size = self.query.limit.map_or(self.size, |limit| limit.min(self.size));
        if size == 0 {
            return Ok(None);
        }
        let rows = fetch(&self.store, self.run.no, &self.query, size).await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in &rows {
            records.push(decode(row, &self.run.info.id, self.genesis)?);
        }
        let Some(last) = records.last() else { return Ok(None) };
        self.query.from = last.seq.next();
        self.query.limit = self.query.limit.map(|limit| limit - records.len());
        Ok(Some(records))
    }
}

/// Fetches the rows of the next `size` matching records. `run` is the row number of the run.
pub(super) async fn fetch(
    store: &Store,
    run: i64,
    query: &RecordQuery,
    size: usize,
) -> Result<Vec<Row>, Error> {
    const SQL: &str = "SELECT seq, v, at_ms, kind, payload, blobs, hash, \
         (SELECT p.hash FROM records p WHERE p.run = r.run AND p.seq = r.seq - 1) AS prev_hash \
         FROM records r WHERE run = ?1 AND seq BETWEEN ?2 AND ?3 AND seq >= 1 \
         AND seq <= (SELECT last_seq FROM runs WHERE no = ?1) \
         AND (?4 IS NULL OR kind IN (SELECT value FROM json_each(?4))) ORDER BY seq LIMIT ?5";
    let kinds = (!query.kinds.is_empty()).then(|| serde_json::json!(query.kinds).to_string());
    let clamp = |seq: EventSeq| i64::try_from(seq.0).unwrap_or(i64::MAX);
    let rows = sojourn_database::query(SQL)
        .bind(run)
        .bind(clamp(query.from))
        .bind(query.to.map_or(i64::MAX, clamp))
        .bind(kinds)
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .fetch_all(&store.pool)
        .await?;
    Ok(rows)
}

/// Decodes a row that [`fetch`] returned. `genesis` is the hash that the run's first record is chained to.
///
/// # Errors
/// [`Error::Damaged`].
pub(super) fn decode(row: &Row, run: &RunId, genesis: Hash) -> Result<Record, Error> {
    let seq = row.try_get::<i64, _>("seq").map_err(|error| damaged(run, EventSeq(0), error.to_string()))?;
    let seq = EventSeq(seq as u64);
    decode_fields(row, run, seq, genesis).map_err(|what| damaged(run, seq, what))
}

pub(super) fn damaged(run: &RunId, seq: EventSeq, what: impl Into<String>) -> Error {
    Error::Damaged { place: format!("record {seq} of run `{run}`"), what: what.into() }
}

fn decode_fields(row: &Row, run: &RunId, seq: EventSeq, genesis: Hash) -> Result<Record, String> {
    let unreadable = |error: sqlx::Error| error.to_string();
    let hash = |column| -> Result<Option<Hash>, String> {
        let bytes: Option<&[u8]> = row.try_get(column).map_err(unreadable)?;
        bytes.map(|bytes| Hash::try_from(bytes).map_err(|error| error.to_string())).transpose()
    };
    let version: i64 = row.try_get("v").map_err(unreadable)?;
    if version != VERSION {
        return Err(format!("the encoding version {version} is unknown"));
    }
    let previous = if seq == EventSeq(1) { Some(genesis) } else { hash("prev_hash")? };
    let payload = text(row.try_get("payload").map_err(unreadable)?)?;
    let blobs: Option<&[u8]> = row.try_get("blobs").map_err(unreadable)?;
    let (blobs, rest) = blobs.unwrap_or_default().as_chunks::<32>();
    if !rest.is_empty() {
        return Err("its list of blobs is truncated".to_owned());
    }
    Ok(Record {
        run: run.clone(),
        seq,
        kind: row.try_get("kind").map_err(unreadable)?,
        at_ms: row.try_get("at_ms").map_err(unreadable)?,
        payload: serde_json::from_str(&payload)
            .map_err(|error| format!("its payload is not JSON: {error}"))?,
        blobs: blobs.iter().map(|bytes| BlobId(Hash::from(*bytes))).collect(),
        prev_hash: previous.ok_or("the previous record is missing")?,
        hash: hash("hash")?.ok_or("it has no hash")?,
    })
}

/// Decompresses a stored payload into the JSON text that was written.
pub(super) fn text(stored: &[u8]) -> Result<Cow<'_, str>, String> {
    let not_utf8 = "its payload is not UTF-8";
    match stored.first() {
        // No JSON text starts with this byte.
        Some(&first) if compression::is_compressed(first) => {
            String::from_utf8(compression::decompress(stored)?)
                .map(Cow::Owned)
                .map_err(|_| not_utf8.to_owned())
        }
        _ => std::str::from_utf8(stored).map(Cow::Borrowed).map_err(|_| not_utf8.to_owned()),
    }
}
