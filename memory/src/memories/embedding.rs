//! Computes missing embeddings in batches, outside of [`Memories::remember`]. Equal texts are embedded once.

use super::store::Memories;
use super::tables::{add_vectors, id, vector};
use super::vectors::{IndexProgress, IndexStage};
use super::{Embedding, MemoryId, Tenant};
use crate::Error;
use async_trait::async_trait;
use sojourn_database::{Access, query};
use std::collections::HashMap;

/// Number of texts per call of the embedder.
const BATCH: i64 = 32;

/// An embedding model for texts.
#[async_trait]
pub trait TextEmbedder: Send + Sync {
    /// Name under which the vectors are stored.
    fn model(&self) -> &str;

    /// Embeds each text and returns the vectors in the same order.
    ///
    /// # Errors
    /// A description for the user. [`Memories::embed_missing`] retries the same texts at its next call.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String>;
}

/// How many memories have a vector of some model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Coverage {
    /// Number of memories with a vector.
    pub embedded: u64,
    /// Number of all memories of the tenant.
    pub memories: u64,
}

impl Coverage {
    /// Whether every memory has a vector.
    pub fn is_complete(&self) -> bool {
        self.embedded == self.memories
    }
}

impl Memories {
    /// Embeds all memories of a tenant that have no vector of this model, and returns their number.
    ///
    /// The call can be interrupted at any point and repeated. Vectors of other models are kept. If another
    /// memory with the same text has a vector, that vector is reused.
    ///
    /// # Errors
    /// [`Error::Embedding`] if the model fails; vectors of earlier batches are kept.
    pub async fn embed_missing(
        &self,
        tenant: &Tenant,
        embedder: &dyn TextEmbedder,
        progress: &(dyn Fn(IndexProgress) + Send + Sync),
    ) -> Result<u64, Error> {
        let model = embedder.model();
        let coverage = self.coverage(tenant, model).await?;
        let of = coverage.memories - coverage.embedded;
        let mut done = 0;
        let mut after = 0_i64;
        loop {
            let rows = query(
                "SELECT no, id, text FROM memories WHERE tenant = ?1 AND no > ?2 AND NOT EXISTS \
                 (SELECT 1 FROM memory_vectors v JOIN memory_models m ON m.no = v.model \
                  WHERE v.memory = memories.no AND m.name = ?3) ORDER BY no LIMIT ?4",
            )
            .bind(tenant.as_str())
            .bind(after)
            .bind(model)
            .bind(BATCH)
            .fetch_all(&self.store.pool)
            .await?;
            let Some(last) = rows.last() else { return Ok(done) };
            after = last.try_get(0)?;
            let texts = rows
                .iter()
                .map(|row| Ok((id(row, 1)?, row.text(2)?)))
                .collect::<Result<Vec<(MemoryId, String)>, Error>>()?;
            done += self.embed_batch(embedder, &texts).await?;
            progress(IndexProgress { stage: IndexStage::Embedding, done: done.min(of), of });
        }
    }

    async fn embed_batch(
        &self,
        embedder: &dyn TextEmbedder,
        texts: &[(MemoryId, String)],
    ) -> Result<u64, Error> {
        let model = embedder.model();
        let mut known: HashMap<&str, Vec<f32>> = HashMap::new();
        let mut asked: Vec<String> = Vec::new();
        for (_, text) in texts {
            if known.contains_key(text.as_str()) || asked.contains(text) {
                continue;
            }
            match self.known_vector(model, text).await? {
                Some(vector) => drop(known.insert(text, vector)),
                None => asked.push(text.clone()),
            }
        }
        if !asked.is_empty() {
            let failed = |what| Error::Embedding { model: model.to_owned(), what };
            let vectors = embedder.embed(&asked).await.map_err(failed)?;
            if vectors.len() != asked.len() {
                return Err(failed(format!("{} vectors for {} texts", vectors.len(), asked.len())));
            }
            for (text, vector) in asked.iter().zip(vectors) {
                if let Some((_, text)) = texts.iter().find(|(_, other)| other == text) {
                    known.insert(text, vector);
                }
            }
        }
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        let mut done = 0;
        for (id, text) in texts {
            if let Some(vector) = known.get(text.as_str()) {
                let embedding = Embedding { model: model.to_owned(), vector: vector.clone() };
                add_vectors(&mut transaction, id, &[embedding]).await?;
                done += 1;
            }
        }
        transaction.commit().await?;
        Ok(done)
    }

    /// The vector of another memory with the same text.
    async fn known_vector(&self, model: &str, text: &str) -> Result<Option<Vec<f32>>, Error> {
        let row = query(
            "SELECT v.vector FROM memories JOIN memory_vectors v ON v.memory = memories.no \
             JOIN memory_models m ON m.no = v.model \
             WHERE content_hash = ?1 AND text = ?2 AND m.name = ?3 LIMIT 1",
        )
        .bind(super::store::content_hash(text).as_bytes().as_slice())
        .bind(text)
        .bind(model)
        .fetch_optional(&self.store.pool)
        .await?;
        row.map(|row| vector(row.try_get(0)?)).transpose()
    }

    /// Adds a vector of another model, for the memory's text or attachment.
    ///
    /// # Errors
    /// [`Error::NoSuchMemory`], [`Error::BadVector`], [`Error::Dimension`].
    pub async fn add_vector(
        &self,
        tenant: &Tenant,
        id: &MemoryId,
        embedding: &Embedding,
    ) -> Result<(), Error> {
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        if super::tables::find(&mut transaction, tenant, id).await?.is_none() {
            return Err(Error::NoSuchMemory { id: *id });
        }
        add_vectors(&mut transaction, id, std::slice::from_ref(embedding)).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Counts a tenant's memories and their vectors of a model.
    pub async fn coverage(&self, tenant: &Tenant, model: &str) -> Result<Coverage, Error> {
        let row = query(
            "SELECT (SELECT count(*) FROM memories WHERE tenant = ?1), \
             (SELECT count(*) FROM memory_models m JOIN memory_vectors v ON v.model = m.no \
              JOIN memories ON memories.no = v.memory WHERE tenant = ?1 AND m.name = ?2)",
        )
        .bind(tenant.as_str())
        .bind(model)
        .fetch_one(&self.store.pool)
        .await?;
        Ok(Coverage {
            memories: row.try_get::<i64, _>(0)? as u64,
            embedded: row.try_get::<i64, _>(1)? as u64,
        })
    }
}
