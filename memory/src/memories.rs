//! Episodic memory: short texts with provenance, found again by meaning and by words.

pub mod conformance;
mod consolidate;
mod corpus;
mod documents;
mod embedded;
mod embedding;
mod exact;
mod flat_vectors;
mod forget;
mod hnsw;
mod index_files;
mod model;
#[cfg(feature = "qdrant")]
mod qdrant;
mod recall;
mod shard;
mod store;
mod sync;
mod tables;
mod tokenize;
mod transfer;
mod vectors;

pub use consolidate::{Credit, Delta, DuplicateGroup};
pub use documents::{Document, DocumentChange, NewDocument};
pub use embedded::EmbeddedVectors;
pub use embedding::{Coverage, TextEmbedder};
pub use exact::ExactVectors;
pub use forget::Forgotten;
pub(crate) use forget::TOMBSTONE;
pub use model::{Attachment, Embedding, Memory, MemoryId, MemoryKind, NewMemory, Source, Tenant, Tick};
#[cfg(feature = "qdrant")]
pub use qdrant::QdrantVectors;
pub use recall::{Explanation, Hit, Query, RankingWeights, estimated_tokens};
pub use store::{Memories, MemoryStats, SearchMatch};
pub use transfer::{ExportedMemory, ImportReport, MemoryImportError};
pub use vectors::{IndexProgress, IndexStage, Point, ScoredMemory, VectorQuery, VectorSpace, VectorStore};
