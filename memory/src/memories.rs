//! Episodic memory: short texts with provenance, found again by meaning and by words.

mod changes;
pub mod conformance;
mod corpus;
mod documents;
mod embedded;
mod embedding;
mod exact;
mod files;
mod flat;
mod forget;
mod graph;
mod model;
#[cfg(feature = "qdrant")]
mod qdrant;
mod recall;
mod rows;
mod shard;
mod sync;
mod tables;
mod transfer;
mod vectors;
mod words;

pub use changes::{Credit, Delta, Duplicates};
pub use documents::{Document, DocumentChange, NewDocument};
pub use embedded::EmbeddedVectors;
pub use embedding::{Coverage, TextEmbedder};
pub use exact::ExactVectors;
pub use forget::Forgotten;
pub(crate) use forget::TOMBSTONE;
pub use model::{Attachment, Embedding, Memory, MemoryId, MemoryKind, NewMemory, Source, Tenant, Tick};
#[cfg(feature = "qdrant")]
pub use qdrant::QdrantVectors;
pub use recall::{Explanation, Hit, Query, Ranking, estimated_tokens};
pub use rows::{Found, Memories, MemoryStats};
pub use transfer::{Exported, Imported};
pub use vectors::{Point, Progress, Scored, Space, Stage, VectorQuery, VectorStore};
