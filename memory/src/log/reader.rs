use super::record::VERSION;
use super::run::RunRow;
use super::{EventSeq, Record, RunId};
use crate::{BlobId, Error, Hash, Store, compression};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::borrow::Cow;

/// Which records of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordQuery {
    /// Not before this one.
    pub from: EventSeq,
    /// Not after this one.
    pub to: Option<EventSeq>,
    /// Of these kinds only; of any kind if empty.
    pub kinds: Vec<String>,
    /// Not more than this many.
    pub limit: Option<usize>,
}

impl RecordQuery {
    /// Every record.
    pub fn all() -> Self {
        Self::default()
    }

    /// From this one on.
    pub fn from(seq: EventSeq) -> Self {
        Self { from: seq, ..Self::default() }
    }

    /// Up to and with this one.
    #[must_use]
    pub fn to(self, seq: EventSeq) -> Self {
        Self { to: Some(seq), ..self }
    }

    /// Of these kinds only.
    #[must_use]
    pub fn kinds<K: Into<String>>(self, kinds: impl IntoIterator<Item = K>) -> Self {
        Self { kinds: kinds.into_iter().map(Into::into).collect(), ..self }
    }

    /// The first so many.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// The records of a run in order, a page at a time. Records that are written meanwhile are seen too.
#[derive(Debug)]
pub struct RecordPages {
    store: Store,
    run: RunRow,
    genesis: Hash,
    query: RecordQuery,
    size: usize,
}

impl Store {
    /// The durable records of a run that match, in order.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; [`Error::Damaged`] for a record that cannot be read. Hashes are not recomputed:
    /// that is what [`verify`](Self::verify) is for.
    pub async fn records(&self, run: &RunId, query: &RecordQuery) -> Result<Vec<Record>, Error> {
        let mut pages = self.record_pages(run, query.clone(), 1024).await?;
        let mut records = Vec::new();
        while let Some(mut page) = pages.next().await? {
            records.append(&mut page);
        }
        Ok(records)
    }

    /// The same for a run that may be long: `size` records at a time.
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
    /// The next records, never none of them, or `None` after the last. A later call finds what has been
    /// written since.
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

/// The rows of the next `size` records that match.
pub(super) async fn fetch(
    store: &Store,
    run: i64,
    query: &RecordQuery,
    size: usize,
) -> Result<Vec<SqliteRow>, Error> {
    const SQL: &str = "SELECT seq, v, at_ms, kind, payload, blobs, hash, \
         (SELECT p.hash FROM records p WHERE p.run = r.run AND p.seq = r.seq - 1) AS prev_hash \
         FROM records r WHERE run = ?1 AND seq BETWEEN ?2 AND ?3 \
         AND (?4 IS NULL OR kind IN (SELECT value FROM json_each(?4))) ORDER BY seq LIMIT ?5";
    let kinds = (!query.kinds.is_empty()).then(|| serde_json::json!(query.kinds).to_string());
    let clamp = |seq: EventSeq| i64::try_from(seq.0).unwrap_or(i64::MAX);
    let rows = sqlx::query(SQL)
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
pub(super) fn decode(row: &SqliteRow, run: &RunId, genesis: Hash) -> Result<Record, Error> {
    let seq = EventSeq(row.try_get::<i64, _>("seq")? as u64);
    decode_fields(row, run, seq, genesis).map_err(|what| damaged(run, seq, what))
}

pub(super) fn damaged(run: &RunId, seq: EventSeq, what: impl Into<String>) -> Error {
    Error::Damaged { place: format!("record {seq} of run `{run}`"), what: what.into() }
}

fn decode_fields(row: &SqliteRow, run: &RunId, seq: EventSeq, genesis: Hash) -> Result<Record, String> {
    let unreadable = |error: sqlx::Error| error.to_string();
    let hash = |column| -> Result<Option<Hash>, String> {
        let bytes: Option<&[u8]> = row.try_get(column).map_err(unreadable)?;
        bytes.map(|bytes| Hash::try_from(bytes).map_err(|error| error.to_string())).transpose()
    };
    let version: i64 = row.try_get("v").map_err(unreadable)?;
    if version != VERSION {
        return Err(format!("its encoding has the unknown version {version}"));
    }
    let previous = if seq == EventSeq(1) { Some(genesis) } else { hash("prev_hash")? };
    let payload = text(row.try_get("payload").map_err(unreadable)?)?;
    let blobs: Option<&[u8]> = row.try_get("blobs").map_err(unreadable)?;
    let (blobs, rest) = blobs.unwrap_or_default().as_chunks::<32>();
    if !rest.is_empty() {
        return Err("its list of blobs is cut".to_owned());
    }
    Ok(Record {
        run: run.clone(),
        seq,
        kind: row.try_get("kind").map_err(unreadable)?,
        at_ms: row.try_get("at_ms").map_err(unreadable)?,
        payload: serde_json::from_str(&payload)
            .map_err(|error| format!("its payload is no JSON: {error}"))?,
        blobs: blobs.iter().map(|bytes| BlobId(Hash::from(*bytes))).collect(),
        prev_hash: previous.ok_or("the record before it is missing")?,
        hash: hash("hash")?.ok_or("it has no hash")?,
    })
}

/// The payload's text as it was written.
pub(super) fn text(stored: &[u8]) -> Result<Cow<'_, str>, String> {
    let not_utf8 = "its payload is not UTF-8";
    match stored.first() {
        // No JSON text begins with this byte.
        Some(&first) if compression::is_compressed(first) => {
            String::from_utf8(compression::decompress(stored)?)
                .map(Cow::Owned)
                .map_err(|_| not_utf8.to_owned())
        }
        _ => std::str::from_utf8(stored).map(Cow::Borrowed).map_err(|_| not_utf8.to_owned()),
    }
}
