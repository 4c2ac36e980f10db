//! Episodic memory: short texts with provenance, found again by meaning and by words.

pub mod conformance;
mod corpus;
mod exact;
mod model;
mod recall;
mod rows;
mod tables;
mod vectors;
mod words;

pub use exact::ExactVectors;
pub use model::{Embedding, Memory, MemoryId, MemoryKind, NewMemory, Source, Tenant, Tick};
pub use recall::{Explanation, Hit, Query, estimated_tokens};
pub use rows::{Credit, Forgotten, Found, Memories, MemoryStats};
pub use vectors::{Point, Scored, Space, VectorQuery, VectorStore};
