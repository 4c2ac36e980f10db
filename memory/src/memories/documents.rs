//! Knowledge documents, stored as passages that recall treats like other memories.

use super::store::{Memories, content_hash, insert};
use super::tables::{delete, id};
use super::{MemoryId, MemoryKind, NewMemory, Tenant};
use crate::{Error, EventSeq, Hash};
use serde::Serialize;
use sojourn_database::{Access, Connection, Row, query};
use std::collections::HashMap;

/// A document to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDocument<'a> {
    /// Identifies the document within the tenant. Adding the same URI again replaces the document.
    pub uri: &'a str,
    /// Title for display.
    pub title: Option<&'a str>,
    /// Passages in order. Each obeys the length limit of a memory.
    pub passages: &'a [String],
    /// The environment that the document is about, if any.
    pub environment: Option<&'a str>,
    /// Time of the addition, in milliseconds since 1970.
    pub at_ms: i64,
}

/// The changes that [`Memories::add_document`] made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DocumentChange {
    /// Number of new passages.
    pub added: u64,
    /// Number of passages that existed already.
    pub kept: u64,
    /// Number of passages that were deleted.
    pub removed: u64,
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Identifies the document within the tenant.
    pub uri: String,
    /// Title for display.
    pub title: Option<String>,
    /// Hash over all passages.
    pub content_hash: Hash,
    /// Time of the last addition, in milliseconds since 1970.
    pub added_ms: i64,
    /// Number of passages.
    pub passages: u64,
}

impl Memories {
    /// Adds a document or updates it. Unchanged passages keep their ids and vectors; passages that the
    /// document no longer has are deleted.
    ///
    /// # Errors
    /// [`Error::BadMemory`]; nothing is changed then.
    pub async fn add_document(
        &self,
        tenant: &Tenant,
        new: &NewDocument<'_>,
    ) -> Result<DocumentChange, Error> {
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        let whole = Hash::of(new.passages.join("\0").as_bytes());
        let row = query(
            "INSERT INTO memory_documents (tenant, uri, title, content_hash, added_ms) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (tenant, uri) DO UPDATE SET title = excluded.title, \
             content_hash = excluded.content_hash, added_ms = excluded.added_ms RETURNING no",
        )
        .bind(tenant.as_str())
        .bind(new.uri)
        .bind(new.title)
        .bind(whole.as_bytes().as_slice())
        .bind(new.at_ms)
        .fetch_one(&mut *transaction)
        .await?;
        let document: i64 = row.try_get(0)?;
        let mut old = passages(&mut transaction, document).await?;
        let mut change = DocumentChange::default();
        for (text, position) in new.passages.iter().zip(0_i64..) {
            let hash = content_hash(text);
            if let Some(known) = old.get_mut(&hash).and_then(Vec::pop) {
                query("UPDATE memories SET position = ? WHERE id = ?")
                    .bind(position)
                    .bind(known.as_bytes().as_slice())
                    .execute(&mut *transaction)
                    .await?;
                change.kept += 1;
                continue;
            }
            let memory = NewMemory {
                event_time_ms: new.at_ms,
                environment: new.environment.map(str::to_owned),
                seq: number(new.uri, &hash, new.at_ms, position),
                ..NewMemory::new(tenant.clone(), MemoryKind::Knowledge, text.clone())
            };
            insert(&mut transaction, &memory, memory.id(), Some((document, position))).await?;
            change.added += 1;
        }
        for gone in old.into_values().flatten() {
            delete(&mut transaction, &gone).await?;
            change.removed += 1;
        }
        transaction.commit().await?;
        Ok(change)
    }

    /// Lists a tenant's documents, sorted by URI.
    pub async fn documents(&self, tenant: &Tenant) -> Result<Vec<Document>, Error> {
        let rows = query(
            "SELECT uri, title, content_hash, added_ms, \
             (SELECT count(*) FROM memories WHERE document = d.no) FROM memory_documents d \
             WHERE tenant = ? ORDER BY uri",
        )
        .bind(tenant.as_str())
        .fetch_all(&self.store.pool)
        .await?;
        let document = |row: &Row| {
            Ok(Document {
                uri: row.try_get(0)?,
                title: row.try_get(1)?,
                content_hash: Hash::try_from(row.try_get::<&[u8], _>(2)?)?,
                added_ms: row.try_get(3)?,
                passages: row.try_get::<i64, _>(4)? as u64,
            })
        };
        rows.iter().map(document).collect()
    }

    /// Gives a document another URI. Returns whether there is such a document, and none with the new URI.
    pub async fn rename_document(&self, tenant: &Tenant, old: &str, new: &str) -> Result<bool, Error> {
        let renamed = query(
            "UPDATE memory_documents SET uri = ?3 WHERE tenant = ?1 AND uri = ?2 AND (uri = ?3 OR NOT EXISTS \
                 (SELECT 1 FROM memory_documents other WHERE other.tenant = ?1 AND other.uri = ?3))",
        )
        .bind(tenant.as_str())
        .bind(old)
        .bind(new)
        .execute(&self.store.pool)
        .await?;
        Ok(renamed.rows_affected() > 0)
    }

    /// Deletes a document and its passages. Returns the number of passages, or `None` if it does not exist.
    pub async fn remove_document(&self, tenant: &Tenant, uri: &str) -> Result<Option<u64>, Error> {
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        let row = query("SELECT no FROM memory_documents WHERE tenant = ? AND uri = ?")
            .bind(tenant.as_str())
            .bind(uri)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let document: i64 = row.try_get(0)?;
        let mut removed = 0;
        for passage in passages(&mut transaction, document).await?.into_values().flatten() {
            delete(&mut transaction, &passage).await?;
            removed += 1;
        }
        query("DELETE FROM memory_documents WHERE no = ?").bind(document).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Some(removed))
    }
}

/// Ids of a document's passages by content hash, last position first.
async fn passages(
    connection: &mut Connection<'_>,
    document: i64,
) -> Result<HashMap<Hash, Vec<MemoryId>>, Error> {
    let rows = query("SELECT id, content_hash FROM memories WHERE document = ? ORDER BY position DESC")
        .bind(document)
        .fetch_all(connection)
        .await?;
    let mut passages: HashMap<Hash, Vec<MemoryId>> = HashMap::new();
    for row in &rows {
        let hash = Hash::try_from(row.try_get::<&[u8], _>(1)?)?;
        passages.entry(hash).or_default().push(id(row, 0)?);
    }
    Ok(passages)
}

/// A sequence number that makes the id of a passage unique, as passages belong to no run.
fn number(uri: &str, text: &Hash, at_ms: i64, position: i64) -> EventSeq {
    let hash = Hash::of(format!("{uri}\0{text}\0{at_ms}\0{position}").as_bytes());
    let (head, _) = hash.as_bytes().split_at(8);
    EventSeq(head.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)) >> 1)
}
