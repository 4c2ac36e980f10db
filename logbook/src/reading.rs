//! The records of a run one by one, also where some of them are damaged.

use serde_json::Value;
use sojourn_core::log::ReadError;
use sojourn_core::{LogRecord, RecordKind, inflate};
use sojourn_memory::{Error, EventSeq, Record, RecordPages, RecordQuery, RunInfo, Store};
use std::collections::{BTreeSet, VecDeque};

/// Records that are fetched at once.
const PAGE: usize = 64;

/// Reads the records of a run one by one, a page at a time.
pub struct Reading {
    store: Store,
    info: RunInfo,
    query: RecordQuery,
    pages: RecordPages,
    ready: VecDeque<Record>,
    /// The sequence number that the next record has at least.
    position: EventSeq,
    /// The records whose long texts are wanted; `None` for all.
    texts_of: Option<BTreeSet<u64>>,
    /// The kinds of records whose long texts are wanted in any case.
    text_kinds: &'static [RecordKind],
    /// Up to here records are fetched one by one, because one of them is damaged.
    damaged_to: EventSeq,
}

/// A record, or the place of one that is damaged.
#[derive(Debug)]
pub enum Entry {
    /// A record with its content, which is `None` where it was forgotten, or with the reason why its content cannot be read.
    Record(Box<Record>, Result<Option<LogRecord>, ReadError>),
    /// The row of a record cannot be read.
    Damaged {
        /// Number of the record.
        seq: EventSeq,
        /// Its defect.
        reason: String,
    },
}

impl Reading {
    /// Reads the records that `query` selects.
    ///
    /// # Errors
    /// When the run cannot be read.
    pub async fn new(store: &Store, run: &RunInfo, query: RecordQuery) -> Result<Self, ReadError> {
        let pages = store.record_pages(&run.id, query.clone(), PAGE).await?;
        let position = query.from.max(EventSeq(1));
        Ok(Self {
            store: store.clone(),
            info: run.clone(),
            query,
            pages,
            ready: VecDeque::new(),
            position,
            texts_of: None,
            text_kinds: &[],
            damaged_to: EventSeq(0),
        })
    }

    /// Leaves out long texts, except those of these records and kinds: reading a run is several times as fast.
    #[must_use]
    pub fn without_texts_except(self, records: BTreeSet<u64>, kinds: &'static [RecordKind]) -> Self {
        Self { texts_of: Some(records), text_kinds: kinds, ..self }
    }

    async fn content(&self, record: &Record) -> Result<Option<LogRecord>, ReadError> {
        let is_wanted = self.texts_of.as_ref().is_none_or(|records| records.contains(&record.seq.0))
            || self.text_kinds.iter().any(|kind| kind.is(record));
        if is_wanted {
            LogRecord::read(&self.store, record).await
        } else {
            LogRecord::read_without_blobs(record)
        }
    }

    /// The next record with its content, which is `None` where it was forgotten. After the last record a later call finds
    /// what was written since.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub async fn next(&mut self) -> Result<Option<(Record, Option<LogRecord>)>, ReadError> {
        let Some((record, content)) = self.next_of_any_content().await? else { return Ok(None) };
        Ok(Some((record, content?)))
    }

    /// The next record with its content, or with the reason that its content cannot be read.
    ///
    /// # Errors
    /// When the record itself cannot be read.
    pub async fn next_of_any_content(
        &mut self,
    ) -> Result<Option<(Record, Result<Option<LogRecord>, ReadError>)>, ReadError> {
        if self.ready.is_empty() {
            self.ready.extend(self.pages.next().await?.unwrap_or_default());
        }
        let Some(record) = self.ready.pop_front() else { return Ok(None) };
        self.position = record.seq.next();
        let content = self.content(&record).await;
        Ok(Some((record, content)))
    }

    /// The next record, or the next place at which a record is damaged. A damaged record hides no other.
    ///
    /// # Errors
    /// When the store fails otherwise.
    pub async fn next_intact(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            if self.ready.is_empty() && self.position <= self.damaged_to {
                let seq = self.position;
                self.position = seq.next();
                let one = RecordQuery { from: seq, to: Some(seq), limit: None, ..self.query.clone() };
                match self.store.records(&self.info.id, &one).await {
                    Ok(records) => self.ready.extend(records),
                    Err(Error::Damaged { what, .. }) => {
                        return Ok(Some(Entry::Damaged { seq, reason: what }));
                    }
                    Err(error) => return Err(error.into()),
                }
                if self.position > self.damaged_to {
                    let rest = RecordQuery { from: self.position, ..self.query.clone() };
                    self.pages = self.store.record_pages(&self.info.id, rest, PAGE).await?;
                }
            } else {
                match self.next_of_any_content().await {
                    Ok(Some((record, content))) => return Ok(Some(Entry::Record(Box::new(record), content))),
                    Ok(None) => return Ok(None),
                    Err(ReadError::Store(Error::Damaged { .. })) => {
                        // The page that failed has at most this many records, if all kinds are wanted.
                        let last = self.store.run(self.info.id.as_str()).await?.last_seq;
                        let end = if self.query.kinds.is_empty() {
                            last.0.min(self.position.0 + PAGE as u64 - 1)
                        } else {
                            last.0
                        };
                        self.damaged_to = EventSeq(self.query.to.map_or(end, |to| end.min(to.0)));
                        if self.damaged_to < self.position {
                            return Ok(None);
                        }
                    }
                    Err(error) => return Err(error),
                }
                continue;
            }
            if let Some(record) = self.ready.pop_front() {
                let content = self.content(&record).await;
                return Ok(Some(Entry::Record(Box::new(record), content)));
            }
        }
    }
}

/// A record's payload with its blobs put back.
///
/// # Errors
/// When a blob is missing or damaged.
pub async fn whole(store: &Store, record: &Record) -> Result<Value, ReadError> {
    inflate(store, record).await
}

/// Reads a record and puts it in one line.
///
/// # Errors
/// When the record cannot be read.
pub async fn line(store: &Store, record: &Record) -> Result<String, ReadError> {
    Ok(summary(LogRecord::read(store, record).await?.as_ref()))
}

/// A record's content in one line.
pub fn summary(content: Option<&LogRecord>) -> String {
    content.map_or_else(|| "forgotten".to_owned(), LogRecord::summary)
}
