//! Consolidation: credits, contradictions, merges and edits. Texts are never rewritten; a memory is closed,
//! and another one supersedes it.

use super::store::{Memories, add_sources, insert};
use super::tables::{COLUMNS, add_vectors, decode, find, tick};
use super::{Embedding, Memory, MemoryId, NewMemory, Tenant, Tick};
use crate::{Error, EventSeq, RunId};
use serde::{Deserialize, Serialize};
use sojourn_database::{Access, Connection, query};
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;

/// The outcome that a recalled memory is credited with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credit {
    /// Acting on the memory succeeded.
    Helpful,
    /// Acting on the memory failed.
    Harmful,
}

/// One step of a consolidation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "delta", rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "few deltas exist at a time")]
pub enum Delta {
    /// Adds a memory. Its sources are the records it was derived from, never a recalled text.
    Remember {
        /// The new memory.
        memory: Box<NewMemory>,
    },
    /// Adds one to a memory's counter of helpful or harmful uses.
    Credit {
        /// The credited memory.
        id: MemoryId,
        /// The counter to increment.
        credit: Credit,
    },
    /// Closes a memory that a newer one contradicts.
    Contradict {
        /// The memory to close.
        older: MemoryId,
        /// The memory that supersedes it.
        newer: MemoryId,
    },
    /// Merges a duplicate: `keep` takes over its sources, counters and importance, and the duplicate is
    /// closed.
    Merge {
        /// The memory that remains.
        keep: MemoryId,
        /// The memory to close.
        duplicate: MemoryId,
    },
}

/// Memories with equal text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DuplicateGroup {
    /// The memory that a merge keeps: pinned before important before old.
    pub keep: Memory,
    /// The memories that a merge closes.
    pub duplicates: Vec<Memory>,
}

impl Memories {
    /// Credits a memory. Returns false if it does not exist.
    pub async fn credit(&self, tenant: &Tenant, id: &MemoryId, credit: Credit) -> Result<bool, Error> {
        self::credit(&mut self.store.pool.acquire().await?, tenant, id, credit).await
    }

    /// Closes a memory: recall ignores it from `valid_to_ms` on, in milliseconds since 1970, but it stays in
    /// the tables. Returns false if it does not exist.
    pub async fn invalidate(&self, tenant: &Tenant, id: &MemoryId, valid_to_ms: i64) -> Result<bool, Error> {
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        let closed = close(&mut transaction, tenant, id, valid_to_ms, None).await?;
        transaction.commit().await?;
        Ok(closed)
    }

    /// Sets or clears the exemption from expiry. Returns false if the memory does not exist.
    pub async fn pin(&self, tenant: &Tenant, id: &MemoryId, pinned: bool) -> Result<bool, Error> {
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        let changed = tick(&mut transaction).await?;
        let updated = query("UPDATE memories SET pinned = ?, changed = ? WHERE id = ? AND tenant = ?")
            .bind(pinned)
            .bind(changed.0 as i64)
            .bind(id.as_bytes().as_slice())
            .bind(tenant.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(updated.rows_affected() > 0)
    }

    /// Supersedes a memory by a copy with another text. The old memory is closed at `at_ms` and stays in the
    /// tables. Returns the new memory, or `None` if `id` does not exist.
    ///
    /// # Errors
    /// As [`remember`](Self::remember).
    pub async fn edit(
        &self,
        tenant: &Tenant,
        id: &MemoryId,
        text: &str,
        at_ms: i64,
        vectors: &[Embedding],
    ) -> Result<Option<Memory>, Error> {
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        let Some(old) = find(&mut transaction, tenant, id).await? else { return Ok(None) };
        if old.text == text {
            return Ok(Some(old));
        }
        let new = NewMemory {
            importance: old.importance,
            event_time_ms: old.event_time_ms,
            environment: old.environment,
            run: old.run,
            seq: old.seq,
            sources: old.sources,
            expires_at_ms: old.expires_at_ms,
            valid_from_ms: old.valid_from_ms,
            pinned: old.pinned,
            attachment: old.attachment,
            untrusted: old.untrusted,
            ..NewMemory::new(tenant.clone(), old.kind, text)
        };
        let newer = insert(&mut transaction, &new, id.revised(text), None).await?;
        add_vectors(&mut transaction, &newer, vectors).await?;
        close(&mut transaction, tenant, id, at_ms, Some(&newer)).await?;
        let memory = find(&mut transaction, tenant, &newer).await?;
        transaction.commit().await?;
        Ok(memory)
    }

    /// Applies all deltas of a consolidation in one transaction, at most once per `source`.
    ///
    /// `source` is the log record that holds the consolidation. Returns false if its deltas were applied
    /// before.
    ///
    /// # Errors
    /// As [`remember`](Self::remember), and [`Error::NoSuchMemory`]. No delta is applied then.
    pub async fn consolidate(
        &self,
        tenant: &Tenant,
        source: (&RunId, EventSeq),
        deltas: &[Delta],
        at_ms: i64,
    ) -> Result<bool, Error> {
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        let noted = query("INSERT INTO memory_consolidations VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(tenant.as_str())
            .bind(source.0.as_str())
            .bind(source.1.0 as i64)
            .execute(&mut *transaction)
            .await?;
        if noted.rows_affected() == 0 {
            return Ok(false);
        }
        for delta in deltas {
            apply(&mut transaction, tenant, delta, at_ms).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Finds open memories of a tenant with equal kind, environment and text. Case and white space do not
    /// count.
    pub async fn duplicates(&self, tenant: &Tenant) -> Result<Vec<DuplicateGroup>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM memories WHERE tenant = ?1 AND closed IS NULL AND content_hash IN \
             (SELECT content_hash FROM memories WHERE tenant = ?1 AND closed IS NULL \
              GROUP BY content_hash HAVING count(*) > 1) ORDER BY pinned DESC, importance DESC, made"
        );
        let rows = query(AssertSqlSafe(sql)).bind(tenant.as_str());
        let mut groups: BTreeMap<_, Vec<Memory>> = BTreeMap::new();
        for row in &rows.fetch_all(&self.store.pool).await? {
            let memory = decode(row)?;
            let alike = (memory.content_hash, memory.kind, memory.environment.clone());
            groups.entry(alike).or_default().push(memory);
        }
        let mut found: Vec<DuplicateGroup> = groups
            .into_values()
            .filter(|group| group.len() > 1)
            .map(|mut group| DuplicateGroup { keep: group.remove(0), duplicates: group })
            .collect();
        found.sort_by_key(|group| group.keep.made);
        Ok(found)
    }

    /// Merges all duplicates of a tenant, and returns the merged groups.
    pub async fn dedupe(&self, tenant: &Tenant, at_ms: i64) -> Result<Vec<DuplicateGroup>, Error> {
        let groups = self.duplicates(tenant).await?;
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        for DuplicateGroup { keep, duplicates } in &groups {
            for duplicate in duplicates {
                let merge = Delta::Merge { keep: keep.id, duplicate: duplicate.id };
                apply(&mut transaction, tenant, &merge, at_ms).await?;
            }
        }
        transaction.commit().await?;
        Ok(groups)
    }

    /// Sums the importance of all memories made after a tick. A sum of about 150 suggests a reflection (Park
    /// et al. 2023, "Generative Agents", section 4.2).
    pub async fn importance_since(&self, tenant: &Tenant, after: Tick) -> Result<f64, Error> {
        let sum = query("SELECT coalesce(sum(importance), 0.0) FROM memories WHERE tenant = ? AND made > ?")
            .bind(tenant.as_str())
            .bind(after.0 as i64);
        Ok(sum.fetch_one(&self.store.pool).await?.try_get(0)?)
    }
}

async fn apply(
    connection: &mut Connection<'_>,
    tenant: &Tenant,
    delta: &Delta,
    at_ms: i64,
) -> Result<(), Error> {
    let there =
        |found: bool, id: &MemoryId| if found { Ok(()) } else { Err(Error::NoSuchMemory { id: *id }) };
    match delta {
        Delta::Remember { memory } if memory.tenant != *tenant => {
            Err(Error::BadMemory { what: "the memory must belong to the consolidated tenant" })
        }
        Delta::Remember { memory } => insert(connection, memory, memory.id(), None).await.map(drop),
        Delta::Credit { id, credit } => there(self::credit(connection, tenant, id, *credit).await?, id),
        Delta::Contradict { older, newer } => {
            there(find(connection, tenant, newer).await?.is_some(), newer)?;
            there(close(connection, tenant, older, at_ms, Some(newer)).await?, older)
        }
        Delta::Merge { keep, duplicate } => merge(connection, tenant, (keep, duplicate), at_ms).await,
    }
}

async fn credit(
    connection: &mut Connection<'_>,
    tenant: &Tenant,
    id: &MemoryId,
    credit: Credit,
) -> Result<bool, Error> {
    let sql = match credit {
        Credit::Helpful => "UPDATE memories SET helpful = helpful + 1 WHERE id = ? AND tenant = ?",
        Credit::Harmful => "UPDATE memories SET harmful = harmful + 1 WHERE id = ? AND tenant = ?",
    };
    let update = query(sql).bind(id.as_bytes().as_slice()).bind(tenant.as_str());
    Ok(update.execute(connection).await?.rows_affected() > 0)
}

async fn close(
    connection: &mut Connection<'_>,
    tenant: &Tenant,
    id: &MemoryId,
    valid_to_ms: i64,
    newer: Option<&MemoryId>,
) -> Result<bool, Error> {
    let closed = tick(connection).await?;
    let updated = query(
        "UPDATE memories SET valid_to_ms = ?1, closed = ?2, changed = ?2, superseded_by = ?3 \
         WHERE id = ?4 AND tenant = ?5",
    )
    .bind(valid_to_ms)
    .bind(closed.0 as i64)
    .bind(newer.map(|newer| newer.as_bytes().as_slice()))
    .bind(id.as_bytes().as_slice())
    .bind(tenant.as_str())
    .execute(connection)
    .await?;
    Ok(updated.rows_affected() > 0)
}

async fn merge(
    connection: &mut Connection<'_>,
    tenant: &Tenant,
    (keep, duplicate): (&MemoryId, &MemoryId),
    at_ms: i64,
) -> Result<(), Error> {
    if keep == duplicate {
        return Err(Error::BadMemory { what: "a memory cannot be merged with itself" });
    }
    let missing = |id: &MemoryId| Error::NoSuchMemory { id: *id };
    let other = find(connection, tenant, duplicate).await?.ok_or_else(|| missing(duplicate))?;
    let changed = tick(connection).await?;
    let row = query(
        "UPDATE memories SET helpful = helpful + ?1, harmful = harmful + ?2, importance = CASE WHEN importance < ?3 THEN ?3 ELSE importance END, \
         pinned = (pinned OR ?4), changed = ?5 WHERE id = ?6 AND tenant = ?7 RETURNING no",
    )
    .bind(i64::from(other.helpful))
    .bind(i64::from(other.harmful))
    .bind(f64::from(other.importance))
    .bind(other.pinned)
    .bind(changed.0 as i64)
    .bind(keep.as_bytes().as_slice())
    .bind(tenant.as_str())
    .fetch_optional(&mut *connection)
    .await?
    .ok_or_else(|| missing(keep))?;
    add_sources(connection, row.try_get(0)?, other.sources.iter()).await?;
    close(connection, tenant, duplicate, at_ms, Some(keep)).await?;
    Ok(())
}
