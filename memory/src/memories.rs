//! Episodic memory: short texts with the log records they come from, recalled by embedding and by keyword.
//!
//! The tables are the source of truth. Recall ranks by an in-memory copy (`corpus`) and a vector index
//! ([`VectorStore`]); both follow the tables (`sync`).

pub mod conformance;
mod consolidate;
mod corpus;
mod documents;
mod embedded;
mod embedding;
mod exact;
mod flat_vectors;
mod fold;
mod forget;
mod hnsw;
mod index_files;
mod model;
mod pictures;
#[cfg(feature = "qdrant")]
mod qdrant;
mod recall;
mod shard;
mod snippet;
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
pub(crate) use fold::refresh as refresh_words;
pub use forget::Forgotten;
pub(crate) use forget::TOMBSTONE;
pub use model::{Attachment, Embedding, Memory, MemoryId, MemoryKind, NewMemory, Source, Tenant, Tick};
#[cfg(feature = "qdrant")]
pub use qdrant::QdrantVectors;
pub use recall::{Explanation, Hit, Query, RankingWeights, estimated_tokens};
pub use store::{Memories, MemoryStats, SearchMatch};
pub(crate) use tokenize::plain;
pub use transfer::{ExportedMemory, ImportReport, MemoryImportError};
pub use vectors::{IndexProgress, IndexStage, Point, ScoredMemory, VectorQuery, VectorSpace, VectorStore};
