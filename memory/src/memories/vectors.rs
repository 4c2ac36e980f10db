use super::{MemoryId, Tenant, Tick};
use crate::Error;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// A vector index over several models, each with its own dimension.
///
/// An index is disposable: it is filled from the memory tables and holds ids and filter fields, never text.
/// Vectors arrive in the order of the memory clock. A persistent index reports its clock by
/// [`applied`](Self::applied) and receives all later changes, so it recovers from any loss.
///
/// [`EmbeddedVectors`](super::EmbeddedVectors) serves one machine. Implementations must pass
/// [`conformance`](super::conformance).
#[async_trait]
pub trait VectorStore: Send + Sync {
    /// Tick up to which the index survives a crash; 0 if nothing is persistent.
    async fn applied(&self) -> Result<Tick, Error>;

    /// Adds vectors, or replaces those with the same id. The first vector of a model determines its
    /// dimension.
    ///
    /// # Errors
    /// [`Error::Dimension`] or [`Error::BadVector`] if a vector is invalid; no vector is added then.
    /// [`Error::IndexUnavailable`]; the caller repeats the call later.
    async fn upsert(&self, model: &str, points: Vec<Point>) -> Result<(), Error>;

    /// Removes the vectors of these memories for all models. Unknown ids are ignored.
    async fn remove(&self, ids: &[MemoryId]) -> Result<(), Error>;

    /// Reports that all changes up to this tick have been given.
    async fn advance(&self, to: Tick) -> Result<(), Error>;

    /// Returns the `k` most similar vectors that pass the query's filters, most similar first. Among equals,
    /// older memories come first. A model without vectors yields no results.
    ///
    /// # Errors
    /// [`Error::Dimension`], [`Error::BadVector`], [`Error::IndexUnavailable`].
    async fn search(&self, query: &VectorQuery<'_>) -> Result<Vec<ScoredMemory>, Error>;

    /// Returns the similarity of each of these memories to a vector, in order; `None` for a memory without a
    /// vector.
    ///
    /// # Errors
    /// [`Error::Dimension`], [`Error::BadVector`], [`Error::IndexUnavailable`].
    async fn similarities(
        &self,
        model: &str,
        tenant: &Tenant,
        vector: &[f32],
        ids: &[MemoryId],
    ) -> Result<Vec<Option<f32>>, Error>;

    /// Lists the vector spaces, sorted by model.
    async fn spaces(&self) -> Result<Vec<VectorSpace>, Error>;

    /// Removes all vectors. The caller fills the index again.
    async fn clear(&self) -> Result<(), Error>;

    /// Rewrites persistent files so that no removed vector remains in them.
    async fn purge(&self) -> Result<(), Error>;

    /// Finishes background work and saves the result.
    async fn flush(&self, progress: &(dyn Fn(IndexProgress) + Send + Sync)) -> Result<(), Error>;
}

/// Progress of a long operation on an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct IndexProgress {
    /// The present stage.
    pub stage: IndexStage,
    /// Number of finished texts or vectors.
    pub done: u64,
    /// Total number of texts or vectors.
    pub of: u64,
}

/// Stages of a long operation on an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexStage {
    /// Computing embeddings.
    Embedding,
    /// Reading the tables.
    Reading,
    /// Building the index.
    Building,
}

/// A vector with its filter fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The memory it belongs to.
    pub id: MemoryId,
    /// Owner of the memory.
    pub tenant: Tenant,
    /// Tick at which the memory was created.
    pub made: Tick,
    /// Tick at which this vector was created.
    pub tick: Tick,
    /// The vector. It may have any length except zero; the index normalises it.
    pub vector: Vec<f32>,
}

/// A search among one model's vectors.
#[derive(Debug, Clone, Copy)]
pub struct VectorQuery<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// Search only this tenant's vectors.
    pub tenant: &'a Tenant,
    /// The query vector.
    pub vector: &'a [f32],
    /// Search only memories created up to this tick. Such a search is always exact.
    pub as_of: Option<Tick>,
    /// Largest number of results.
    pub k: usize,
}

/// A search result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredMemory {
    /// The memory.
    pub id: MemoryId,
    /// Cosine similarity, from -1 to 1.
    pub cosine: f32,
}

/// Summary of one model's vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorSpace {
    /// Name of the model.
    pub model: String,
    /// Dimension of each vector.
    pub dimension: usize,
    /// Number of vectors.
    pub count: u64,
}

/// Scales a vector to length 1.
pub(super) fn normalised(vector: &[f32]) -> Result<Vec<f32>, Error> {
    let bad = |what| Error::BadVector { what };
    if vector.is_empty() || vector.len() > 65_536 {
        return Err(bad("a vector must have 1 to 65536 dimensions"));
    }
    if !vector.iter().all(|x| x.is_finite()) {
        return Err(bad("every number must be finite"));
    }
    let largest = vector.iter().fold(0_f32, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return Err(bad("a vector must not be all zero"));
    }
    // Scaling first keeps the squares of extreme numbers from overflowing or vanishing.
    let scaled: Vec<f64> = vector.iter().map(|x| f64::from(*x) / f64::from(largest)).collect();
    let length = scaled.iter().map(|x| x * x).sum::<f64>().sqrt();
    Ok(scaled.into_iter().map(|x| (x / length) as f32).collect())
}

pub(super) fn check_dimension(model: &str, expected: usize, vector: &[f32]) -> Result<(), Error> {
    if vector.len() == expected {
        return Ok(());
    }
    Err(Error::Dimension { model: model.to_owned(), expected, found: vector.len() })
}
