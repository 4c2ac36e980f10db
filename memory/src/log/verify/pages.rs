//! Pages of records with the state of the blobs that they reference first.

use super::super::EventSeq;
use super::super::rows::Rows;
use crate::blobs::{self, BlobCheck};
use crate::{BlobId, Error, Hash, Store};
use sojourn_database::query;
use std::collections::{HashMap, HashSet};

/// Number of records read at once.
const PAGE_RECORDS: i64 = 1024;

/// Reads pages of records, and checks the blobs that no earlier page referenced.
pub(super) struct Pages<'a> {
    store: &'a Store,
    run: i64,
    last: EventSeq,
    next: EventSeq,
    /// Page size. It is halved at damaged rows until the damaged record stands alone.
    size: i64,
    blobs_seen: HashSet<BlobId>,
}

#[derive(Default)]
pub(super) struct Page {
    pub(super) rows: Rows,
    pub(super) context: PageContext,
    /// Why the record after `rows` cannot be read.
    pub(super) broken: Option<String>,
}

impl<'a> Pages<'a> {
    /// The pages of the run with this row number, up to record `last`.
    pub(super) fn new(store: &'a Store, run: i64, last: EventSeq) -> Self {
        Self { store, run, last, next: EventSeq(1), size: PAGE_RECORDS, blobs_seen: HashSet::new() }
    }

    /// The next page, which is empty after the last record.
    pub(super) async fn next(&mut self) -> Result<Page, Error> {
        let mut page = Page::default();
        if self.next > self.last {
            return Ok(page);
        }
        loop {
            match Rows::read(self.store, self.run, self.next, self.last, self.size).await {
                Ok(rows) => {
                    page.rows = rows;
                    break;
                }
                Err(Error::Damaged { what, .. }) if self.size == 1 => {
                    page.broken = Some(what);
                    break;
                }
                Err(Error::Damaged { .. }) => self.size /= 2,
                Err(error) => return Err(error),
            }
        }
        self.next = EventSeq(self.next.0 + page.rows.len() as u64);
        for row in page.rows.iter() {
            for bytes in row.blobs.as_chunks::<32>().0 {
                let id = BlobId(Hash::from(*bytes));
                if self.blobs_seen.insert(id) {
                    page.context.asked.insert(id);
                }
            }
        }
        page.context.forgotten = self.forgotten(&page.rows).await?;
        let mut connection = self.store.pool.acquire().await?;
        let ids: Vec<BlobId> = page.context.asked.iter().copied().collect();
        blobs::check(&mut connection, &ids, &mut page.context.blobs).await?;
        drop(connection);
        for id in ids.iter().filter(|id| !page.context.blobs.contains_key(id)) {
            if blobs::is_forgotten(self.store, id).await? {
                page.context.forgotten_blobs.insert(*id);
            }
        }
        Ok(page)
    }

    /// Returns the sequence numbers of the forgotten records in a page.
    async fn forgotten(&self, rows: &Rows) -> Result<HashSet<i64>, Error> {
        let places: Vec<i64> = rows.iter().map(|row| row.seq.0 as i64).collect();
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(HashSet::new()) };
        let query = query("SELECT seq FROM forgotten_records WHERE run = ? AND seq BETWEEN ? AND ?");
        let rows = query.bind(self.run).bind(first).bind(last).fetch_all(&self.store.pool).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// What a page needs besides its records: the state of blobs and forgotten items.
#[derive(Default)]
pub(super) struct PageContext {
    /// Blobs that this page references first.
    pub(super) asked: HashSet<BlobId>,
    /// Check results of these blobs. Missing blobs have no entry.
    pub(super) blobs: HashMap<BlobId, BlobCheck>,
    /// Missing blobs whose content was forgotten.
    pub(super) forgotten_blobs: HashSet<BlobId>,
    /// Sequence numbers of forgotten records.
    pub(super) forgotten: HashSet<i64>,
}
