//! Garbage collection: deletes unreferenced blobs and runs that the retention policy releases.

use super::heads;
use super::lease;
use super::lock::CollectorLock;
use super::run::RunRow;
use super::{RunId, RunInfo, RunStatus};
use crate::{BlobId, Error, Hash, Store};
use serde::Serialize;
use sojourn_database::{Access, Connection, query};
use std::collections::{BTreeMap, HashSet};

/// Which finished runs garbage collection keeps. The default keeps all of them.
///
/// A run is removed only if every limit that is set allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Keep this many of the newest runs, whatever their age.
    pub newest: Option<usize>,
    /// Keep runs whose last record is not older than this, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Runs that something outside the log needs, each with the reason.
    pub needed: BTreeMap<RunId, &'static str>,
}

/// The result of a dry run: what garbage collection would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Garbage {
    /// Runs to remove, newest first.
    pub runs: Vec<RunId>,
    /// Runs that [`RetentionPolicy`] would release but that are still needed, each with the reason.
    pub needed: BTreeMap<RunId, &'static str>,
    /// Number of records in the runs to remove.
    pub records: u64,
    /// Number of blobs that nothing references any more.
    pub blobs: u64,
    /// Stored size of these records and blobs, in bytes.
    pub bytes: u64,
    #[serde(skip)]
    unreferenced: Vec<i64>,
}

/// The result of a garbage collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// The items that were removed.
    #[serde(flatten)]
    pub garbage: Garbage,
    /// How much the database file shrank, in bytes.
    pub freed: u64,
}

impl Store {
    /// Lists what [`collect`](Self::collect) would remove, without removing it.
    ///
    /// A blob is removed when no kept record and no memory references it. A run is removed when `keep` allows
    /// it, unless it can still be resumed or a memory names it as a source. Forks have their own copies of
    /// records, so removing a parent never removes blobs that a fork needs.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a record's blob list is unreadable: then no blob can be proven unreferenced.
    pub async fn garbage(&self, keep: &RetentionPolicy) -> Result<Garbage, Error> {
        find(&mut self.pool.acquire().await?, keep).await
    }

    /// Removes everything that [`garbage`](Self::garbage) lists, and shrinks the database file (`VACUUM`).
    ///
    /// # Errors
    /// [`Error::Collecting`] while any run is being written or another process collects garbage. [`Error::Io`] if a head file
    /// could not be removed: everything else was collected.
    pub async fn collect(&self, keep: &RetentionPolicy) -> Result<Collected, Error> {
        let _lock = match self.own_home().map(CollectorLock::take).transpose()? {
            Some(None) => return Err(Error::Collecting),
            lock => lock,
        };
        let mut connection = self.connection().await?;
        let before = self.size_through(&mut connection).await?;
        let mut transaction = connection.begin(Access::Alone).await?;
        // In a server, no lock tells of a writer that has not yet written.
        if self.own_home().is_none() && !lease::fence_all(&mut transaction).await? {
            return Err(Error::Collecting);
        }
        let garbage = find(&mut transaction, keep).await?;
        for run in &garbage.runs {
            for sql in [
                "DELETE FROM records WHERE run = (SELECT no FROM runs WHERE id = ?)",
                "DELETE FROM forgotten_records WHERE run = (SELECT no FROM runs WHERE id = ?)",
                "DELETE FROM imported_runs WHERE run = (SELECT no FROM runs WHERE id = ?)",
            ] {
                query(sql).bind(run.as_str()).execute(&mut *transaction).await?;
            }
            query("DELETE FROM told WHERE run = ?").bind(run.as_str()).execute(&mut *transaction).await?;
            query("DELETE FROM runs WHERE id = ?").bind(run.as_str()).execute(&mut *transaction).await?;
        }
        for no in &garbage.unreferenced {
            query("DELETE FROM blobs WHERE no = ?").bind(no).execute(&mut *transaction).await?;
        }
        if let Some(home) = self.own_home() {
            heads::note_collected(home, &garbage.runs)?;
        }
        transaction.commit().await?;
        let present = self.runs().await?.into_iter().map(|run| run.id).collect();
        // A head file that cannot be removed keeps nothing else from being collected; the next collection tries again.
        let removed = self.own_home().map_or(Ok(()), |home| heads::remove_collected(home, &present));
        if garbage.records + garbage.blobs > 0 {
            query(self.dialect().shrink).execute(&mut connection).await?;
        }
        let after = self.size_through(&mut connection).await?;
        connection.close().await?;
        removed?;
        Ok(Collected { garbage, freed: before.saturating_sub(after) })
    }
}

async fn find(connection: &mut Connection<'_>, keep: &RetentionPolicy) -> Result<Garbage, Error> {
    let mut garbage = Garbage::default();
    let rows =
        query("SELECT * FROM runs ORDER BY created_ms DESC, no DESC").fetch_all(&mut *connection).await?;
    let mut removed = HashSet::new();
    for (index, row) in rows.iter().enumerate() {
        let run = RunRow::decode(row)?;
        if !is_removable(&run.info, index, keep) {
            continue;
        }
        let outside = keep.needed.get(&run.info.id).copied();
        if let Some(reason) = outside.or(needed(connection, &run.info).await?) {
            garbage.needed.insert(run.info.id, reason);
            continue;
        }
        garbage.records = garbage.records.saturating_add(run.info.last_seq.0);
        removed.insert(run.no);
        garbage.runs.push(run.info.id);
    }
    let mut referenced: HashSet<BlobId> = HashSet::new();
    let rows = query("SELECT run, seq, blobs, CAST(length(payload) AS BIGINT) FROM records WHERE blobs IS NOT NULL OR run IN (SELECT CAST(value AS BIGINT) FROM json_each(?))")
        .bind(serde_json::json!(removed).to_string())
        .fetch_all(&mut *connection)
        .await?;
    for row in rows {
        if removed.contains(&row.try_get(0)?) {
            garbage.bytes += row.try_get::<i64, _>(3)? as u64;
            continue;
        }
        let (blobs, rest) = row.try_get::<&[u8], _>(2)?.as_chunks::<32>();
        if !rest.is_empty() {
            let place = format!("record {}", row.try_get::<i64, _>(1)?);
            return Err(Error::Damaged { place, what: "its list of blobs is truncated".to_owned() });
        }
        referenced.extend(blobs.iter().map(|bytes| BlobId(Hash::from(*bytes))));
    }
    // Attachments of memories.
    for row in query("SELECT blob FROM memories WHERE blob IS NOT NULL").fetch_all(&mut *connection).await? {
        referenced.insert(BlobId(row.try_get::<&[u8], _>(0)?.try_into()?));
    }
    for row in query("SELECT no, id, CAST(length(body) AS BIGINT) FROM blobs").fetch_all(connection).await? {
        let id = BlobId(row.try_get::<&[u8], _>(1)?.try_into()?);
        if !referenced.contains(&id) {
            garbage.unreferenced.push(row.try_get(0)?);
            garbage.blobs += 1;
            garbage.bytes += row.try_get::<i64, _>(2)? as u64;
        }
    }
    Ok(garbage)
}

/// Whether the policy releases the run at this `index`, counted from the newest.
fn is_removable(run: &RunInfo, index: usize, keep: &RetentionPolicy) -> bool {
    let beyond = keep.newest.map(|newest| index >= newest);
    let old = keep.since_ms.map(|since| run.last_at_ms < since);
    match (beyond, old) {
        (None, None) => false,
        (beyond, old) => beyond.unwrap_or(true) && old.unwrap_or(true),
    }
}

async fn needed(connection: &mut Connection<'_>, run: &RunInfo) -> Result<Option<&'static str>, Error> {
    if matches!(run.status, RunStatus::Running | RunStatus::Paused) {
        return Ok(Some("the run can be resumed"));
    }
    let memory = query(
        "SELECT 1 FROM memories WHERE run = ?1 UNION ALL SELECT 1 FROM memory_sources WHERE run = ?1 LIMIT 1",
    )
    .bind(run.id.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(memory.map(|_| "memories name it as a source"))
}
