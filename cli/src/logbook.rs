//! The log as the commands read it: runs by name, and typed records one by one.

mod came;
mod names;
mod scope;
pub mod sides;
mod teller;

pub use came::{Came, ran};
pub use scope::Scope;
pub use sojourn_core::log::summary::{acted_line, milestone_line, purpose_name, reason_line};
pub use teller::Teller;

use crate::error::{Failure, Kind};
use anyhow::Result;
use serde_json::Value;
use sojourn_core::log::ReadError;
use sojourn_core::{LogRecord, inflate};
use sojourn_memory::{Record, RecordPages, RecordQuery, RunInfo, Store};
use std::collections::VecDeque;

/// The run of that name: an id, the beginning of one, or `latest`.
///
/// # Errors
/// When there is none, or several.
pub async fn find_run(store: &Store, name: &str) -> Result<RunInfo> {
    if name != "latest" {
        return Ok(store.run(name).await?);
    }
    store.runs().await?.into_iter().next().ok_or_else(|| {
        Failure::new(Kind::NotFound, "there are no runs here yet")
            .hint("start one with `sojourn run AGENT.TOML`, or choose another home with `--home`")
            .into()
    })
}

/// Reads the records of a run one by one, a page at a time.
pub struct Reading {
    store: Store,
    pages: RecordPages,
    ready: VecDeque<Record>,
}

impl Reading {
    /// Reads the records that `query` selects.
    ///
    /// # Errors
    /// When the run cannot be read.
    pub async fn new(store: &Store, run: &RunInfo, query: RecordQuery) -> Result<Self> {
        const PAGE: usize = 512;
        let pages = store.record_pages(&run.id, query, PAGE).await?;
        Ok(Self { store: store.clone(), pages, ready: VecDeque::new() })
    }

    /// The next record with its content, which is `None` where it was forgotten. After the last record a later call finds
    /// what was written since.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub async fn next(&mut self) -> Result<Option<(Record, Option<LogRecord>)>> {
        let Some((record, content)) = self.next_of_any_content().await? else { return Ok(None) };
        Ok(Some((record, content?)))
    }

    /// The next record with its content, or with the reason that its content cannot be read.
    ///
    /// # Errors
    /// When the record itself cannot be read.
    pub async fn next_of_any_content(
        &mut self,
    ) -> Result<Option<(Record, Result<Option<LogRecord>, ReadError>)>> {
        if self.ready.is_empty() {
            self.ready.extend(self.pages.next().await?.unwrap_or_default());
        }
        let Some(record) = self.ready.pop_front() else { return Ok(None) };
        let content = LogRecord::read(&self.store, &record).await;
        Ok(Some((record, content)))
    }
}

/// A record's payload with its blobs put back.
///
/// # Errors
/// When a blob is missing or damaged.
pub async fn whole(store: &Store, record: &Record) -> Result<Value> {
    Ok(inflate(store, record).await?)
}

/// Reads a record and puts it in one line.
///
/// # Errors
/// When the record cannot be read.
pub async fn line(store: &Store, record: &Record) -> Result<String> {
    Ok(summary(LogRecord::read(store, record).await?.as_ref()))
}

/// A record's content in one line.
pub fn summary(content: Option<&LogRecord>) -> String {
    content.map_or_else(|| "forgotten".to_owned(), LogRecord::summary)
}
