//! Export and import of memories, one JSON line each.

use super::store::{Memories, insert};
use super::tables::{add_vectors, vector};
use super::{Embedding, Memory, MemoryId, NewMemory, Tenant, Tick};
use crate::Error;
use serde::{Deserialize, Serialize};
use sojourn_database::{Access, Connection, Row, query};

/// One line of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportedMemory {
    /// The memory.
    #[serde(flatten)]
    pub memory: Memory,
    /// Its vectors, if the export includes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vectors: Vec<Embedding>,
}

/// The result of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Number of added memories.
    pub added: u64,
    /// Number of memories that existed already.
    pub known: u64,
}

/// Why [`Memories::import`] imported nothing.
#[derive(Debug, thiserror::Error)]
pub enum MemoryImportError {
    /// One of the memories is not acceptable.
    #[error("memory {index} of the import: {source}")]
    Memory {
        /// The index of the memory in the import, from 0.
        index: usize,
        /// Why it is not acceptable.
        source: Error,
    },
    /// The store could not be written.
    #[error("{0}")]
    Store(#[from] Error),
}

impl Memories {
    /// Exports at most `limit` memories created after the tick `after`, in the order of creation, with
    /// vectors if `vectors` is set.
    pub async fn export(
        &self,
        tenant: &Tenant,
        after: Tick,
        limit: usize,
        vectors: bool,
    ) -> Result<Vec<ExportedMemory>, Error> {
        let memories = self.list(tenant, after, limit).await?;
        let mut exported = Vec::with_capacity(memories.len());
        for memory in memories {
            let vectors = if vectors { self.vectors_of(&memory.id).await? } else { Vec::new() };
            exported.push(ExportedMemory { memory, vectors });
        }
        Ok(exported)
    }

    async fn vectors_of(&self, id: &MemoryId) -> Result<Vec<Embedding>, Error> {
        let rows = query(
            "SELECT m.name, v.vector FROM memory_vectors v JOIN memory_models m ON m.no = v.model \
             JOIN memories ON memories.no = v.memory WHERE memories.id = ? ORDER BY m.name",
        )
        .bind(id.as_bytes().as_slice())
        .fetch_all(&self.store.pool)
        .await?;
        let embedding =
            |row: &Row| Ok(Embedding { model: row.try_get(0)?, vector: vector(row.try_get(1)?)? });
        rows.iter().map(embedding).collect()
    }

    /// Imports memories as a tenant's own, all or none. Existing memories stay unchanged. Imported ones are untrusted.
    ///
    /// # Errors
    /// [`MemoryImportError::Memory`] with the index of the rejected memory, or [`MemoryImportError::Store`].
    pub async fn import(
        &self,
        tenant: &Tenant,
        exported: &[ExportedMemory],
    ) -> Result<ImportReport, MemoryImportError> {
        let whole = |error: sqlx::Error| MemoryImportError::Store(error.into());
        let mut transaction = self.store.pool.begin(Access::Write).await.map_err(whole)?;
        let mut imported = ImportReport::default();
        for (index, ExportedMemory { memory, vectors }) in exported.iter().enumerate() {
            let added = take_in(&mut transaction, tenant, memory, vectors).await;
            if added.map_err(|source| MemoryImportError::Memory { index, source })? {
                imported.added += 1;
            } else {
                imported.known += 1;
            }
        }
        transaction.commit().await.map_err(whole)?;
        Ok(imported)
    }
}

/// Returns whether the memory was added.
async fn take_in(
    connection: &mut Connection<'_>,
    tenant: &Tenant,
    memory: &Memory,
    vectors: &[Embedding],
) -> Result<bool, Error> {
    let known = query("SELECT tenant FROM memories WHERE id = ?").bind(memory.id.as_bytes().as_slice());
    if let Some(row) = known.fetch_optional(&mut *connection).await? {
        let other: String = row.try_get(0)?;
        return if other == tenant.as_str() { Ok(false) } else { Err(Error::MemoryExists { id: memory.id }) };
    }
    let new = NewMemory {
        importance: memory.importance,
        event_time_ms: memory.event_time_ms,
        environment: memory.environment.clone(),
        run: memory.run.clone(),
        seq: memory.seq,
        sources: memory.sources.clone(),
        expires_at_ms: memory.expires_at_ms,
        valid_from_ms: memory.valid_from_ms,
        pinned: memory.pinned,
        // The blob is not part of the export; only the description is imported.
        attachment: None,
        untrusted: true,
        ..NewMemory::new(tenant.clone(), memory.kind, memory.text.clone())
    };
    insert(connection, &new, memory.id, None).await?;
    add_vectors(connection, &memory.id, vectors).await?;
    query(
        "UPDATE memories SET helpful = ?1, harmful = ?2, valid_to_ms = ?3, superseded_by = ?4, \
                 closed = CASE WHEN ?3 IS NULL THEN NULL ELSE made END WHERE id = ?5",
    )
    .bind(i64::from(memory.helpful))
    .bind(i64::from(memory.harmful))
    .bind(memory.valid_to_ms)
    .bind(memory.superseded_by.as_ref().map(|id| id.as_bytes().as_slice()))
    .bind(memory.id.as_bytes().as_slice())
    .execute(connection)
    .await?;
    Ok(true)
}
