//! Reads a page of records as one database value.
//!
//! The `SQLite` driver runs on its own thread, and handing over a row costs more than verifying it.
//! Verification therefore selects a page as one blob. Each record in it is a line of numbers, ended by `;`,
//! followed by kind, payload, blobs and hash without separators.

use super::EventSeq;
use crate::{Error, Store};
use sojourn_database::query;
use std::ops::Range;

/// A page of records in their stored form.
#[derive(Debug, Default)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// One record in its stored form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) seq: EventSeq,
    pub(super) version: i64,
    pub(super) at_ms: i64,
    pub(super) kind: &'a [u8],
    /// JSON text, or compressed JSON.
    pub(super) payload: &'a [u8],
    /// Blob addresses of 32 bytes each, concatenated.
    pub(super) blobs: &'a [u8],
    pub(super) hash: &'a [u8],
}

#[derive(Debug)]
struct Span {
    seq: EventSeq,
    version: i64,
    at_ms: i64,
    kind: Range<usize>,
    payload: Range<usize>,
    blobs: Range<usize>,
    hash: Range<usize>,
}

impl Rows {
    /// Reads the first `size` records from `from` to `to`. `run` is the row number of the run.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a row does not have the expected layout.
    pub(super) async fn read(
        store: &Store,
        run: i64,
        from: EventSeq,
        to: EventSeq,
        size: i64,
    ) -> Result<Self, Error> {
        let row = query(store.dialect().page_of_records)
            .bind(run)
            .bind(from.0 as i64)
            .bind(to.0 as i64)
            .bind(size)
            .fetch_one(&store.pool)
            .await?;
        let bytes: Option<Vec<u8>> = row.try_get(0)?;
        let bytes = bytes.unwrap_or_default();
        let spans = spans(&bytes).ok_or_else(|| Error::Damaged {
            place: format!("a record from {from} on"),
            what: "its row has an unexpected layout".to_owned(),
        })?;
        Ok(Self { bytes, spans })
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let bytes = |range: &Range<usize>| &self.bytes[range.clone()];
        self.spans.iter().map(move |span| Row {
            seq: span.seq,
            version: span.version,
            at_ms: span.at_ms,
            kind: bytes(&span.kind),
            payload: bytes(&span.payload),
            blobs: bytes(&span.blobs),
            hash: bytes(&span.hash),
        })
    }
}

/// Reads bytes as a page, for the fuzzer.
pub(super) fn read(bytes: &[u8]) {
    if let Some(spans) = spans(bytes) {
        for row in (Rows { bytes: bytes.to_vec(), spans }).iter() {
            let _ = (row.kind.len(), row.payload.len(), row.blobs.len(), row.hash.len());
        }
    }
}

/// Splits the page into fields; `None` if it does not have the layout that the query produces.
fn spans(bytes: &[u8]) -> Option<Vec<Span>> {
    let mut spans = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let line = at + bytes[at..].iter().position(|byte| *byte == b';')?;
        let mut numbers = std::str::from_utf8(&bytes[at..line]).ok()?.split(' ').map(str::parse::<i64>);
        let mut number = || numbers.next()?.ok();
        let (seq, version, at_ms) = (number()?, number()?, number()?);
        at = line + 1;
        let mut field = || {
            let end = at.checked_add(usize::try_from(number()?).ok()?)?;
            Some(std::mem::replace(&mut at, end)..end)
        };
        let (kind, payload, blobs, hash) = (field()?, field()?, field()?, field()?);
        if hash.end > bytes.len() {
            return None;
        }
        spans.push(Span { seq: EventSeq(seq as u64), version, at_ms, kind, payload, blobs, hash });
    }
    Some(spans)
}
