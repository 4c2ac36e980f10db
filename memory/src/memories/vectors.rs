use super::{MemoryId, Tenant, Tick};
use crate::Error;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// An index over vectors of several models, each with a dimension of its own.
///
/// An index is disposable: it is filled from the memory tables and holds ids and filter fields, never text.
/// Every implementation passes [`conformance`](super::conformance). [`EmbeddedVectors`](super::EmbeddedVectors)
/// serves one machine; a server for several machines is another implementation of this trait.
///
/// What is to be indexed comes in the order of the memory clock. An index that keeps something over a restart says
/// up to where by [`applied`](Self::applied), and is given what came after it, whatever it lost.
#[async_trait]
pub trait VectorStore: Send + Sync {
    /// Everything up to this moment is kept even if the process is killed now; 0 if nothing is.
    async fn applied(&self) -> Result<Tick, Error>;

    /// Adds vectors or replaces those of the same id. The first vector of a model fixes its dimension.
    ///
    /// # Errors
    /// [`Error::Dimension`], [`Error::BadVector`]; then none of them was added. [`Error::IndexUnavailable`]; then
    /// they are given again.
    async fn upsert(&self, model: &str, points: Vec<Point>) -> Result<(), Error>;

    /// Drops the vectors of these memories in all models. Unknown ids are ignored.
    async fn remove(&self, ids: &[MemoryId]) -> Result<(), Error>;

    /// Says that everything up to this moment has been given.
    async fn advance(&self, to: Tick) -> Result<(), Error>;

    /// The `k` most similar vectors that the query may see, the most similar first; among equals the older
    /// first. Nothing for a model without vectors.
    ///
    /// # Errors
    /// [`Error::Dimension`], [`Error::BadVector`], [`Error::IndexUnavailable`].
    async fn search(&self, query: &VectorQuery<'_>) -> Result<Vec<ScoredMemory>, Error>;

    /// The similarity of each of these memories of a tenant to a vector, in their order; `None` where there is no
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

    /// The models it knows, by name.
    async fn spaces(&self) -> Result<Vec<VectorSpace>, Error>;

    /// Drops everything, to be filled again.
    async fn clear(&self) -> Result<(), Error>;

    /// Writes what it keeps on disk so that nothing of what was removed is left in its files.
    async fn purge(&self) -> Result<(), Error>;

    /// Finishes all work that waits in the background, and keeps the result.
    async fn flush(&self, progress: &(dyn Fn(IndexProgress) + Send + Sync)) -> Result<(), Error>;
}

/// How far long work on an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct IndexProgress {
    /// What is being done.
    pub stage: IndexStage,
    /// Vectors or texts done.
    pub done: u64,
    /// Of so many.
    pub of: u64,
}

/// What is being done to an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexStage {
    /// Texts get their vectors.
    Embedding,
    /// The tables are read.
    Reading,
    /// The index is built.
    Building,
}

/// A memory's vector and what it is filtered by.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The memory.
    pub id: MemoryId,
    /// Whose it is.
    pub tenant: Tenant,
    /// When it was remembered.
    pub made: Tick,
    /// When this vector of it was made.
    pub tick: Tick,
    /// Of any length but zero.
    pub vector: Vec<f32>,
}

/// A search in one model's vectors.
#[derive(Debug, Clone, Copy)]
pub struct VectorQuery<'a> {
    /// The model.
    pub model: &'a str,
    /// Only this tenant's.
    pub tenant: &'a Tenant,
    /// What to be similar to.
    pub vector: &'a [f32],
    /// Only what had been remembered by then, found by comparing with every vector.
    pub as_of: Option<Tick>,
    /// At most so many.
    pub k: usize,
}

/// A memory found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredMemory {
    /// The memory.
    pub id: MemoryId,
    /// From -1 to 1.
    pub cosine: f32,
}

/// The vectors of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorSpace {
    /// The model's name.
    pub model: String,
    /// Numbers in each vector.
    pub dimension: usize,
    /// How many vectors.
    pub count: u64,
}

/// The vector brought to length 1.
pub(super) fn normalised(vector: &[f32]) -> Result<Vec<f32>, Error> {
    let bad = |what| Error::BadVector { what };
    if vector.is_empty() || vector.len() > 65_536 {
        return Err(bad("it has between 1 and 65536 numbers"));
    }
    if !vector.iter().all(|x| x.is_finite()) {
        return Err(bad("every number is finite"));
    }
    let largest = vector.iter().fold(0_f32, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return Err(bad("it is not all zero"));
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
