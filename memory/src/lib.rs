//! Storage of a Sojourn agent: the event log, its blobs, and episodic memory.
//!
//! One *home* directory holds everything in one `SQLite` file, or several machines share a database of a `PostgreSQL` server.
//! [`Store`] opens either and is the entry point.
//!
//! - **Log.** Each run is an append-only, hash-chained list of [`Record`]s. One [`Writer`] at a time may
//!   append to a run; [`Writer::commit`] makes the appended records durable.
//! - **Blobs.** Large payloads are stored once, under the SHA-256 of their content ([`BlobId`]).
//! - **Memory.** [`Memories`] keeps short texts with the records they come from, and finds them by embedding
//!   and by keyword. Both indexes are derived from the tables and can be rebuilt at any time.
//! - **Unattended.** Schedules and their due times, approvals that wait for a person, requests to runs, and messages to people: what
//!   a daemon, its runs and a person's commands share.
//!
//! The log is the source of truth: everything else in Sojourn can be recomputed from it.
//!
//! ```
//! # async fn example(home: &std::path::Path) -> Result<(), sojourn_memory::Error> {
//! use sojourn_memory::{Durability, NewRun, RecordQuery, RunId, Store};
//! let store = Store::open(home).await?;
//! let run = RunId::new(1_795_456_740_000, 0xab3f);
//! let mut writer = store.create_run(NewRun::new(run.clone(), "crafter", "qwen3-4b")).await?;
//! writer.append("step", 1_795_456_740_100, serde_json::json!({"action": "left"}), vec![]).await?;
//! writer.commit(Durability::Effect).await?;
//! assert_eq!(store.records(&run, &RecordQuery::all()).await?.len(), 1);
//! # Ok(())
//! # }
//! # let home = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(example(home.path())).unwrap();
//! ```
#![forbid(unsafe_code)]

mod blobs;
mod canonical;
mod compression;
mod copy;
mod dialect;
mod error;
mod hash;
mod log;
mod memories;
mod schema;
mod scratch;
mod store;
mod unattended;

/// Private readers of stored bytes, for the fuzzer.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::log::read_stored as read;

    /// Content as the store compresses it.
    pub fn compressed(content: &[u8]) -> Option<Vec<u8>> {
        crate::compression::compress(content)
    }
}

pub use blobs::BlobStats;
pub use canonical::{MAX_DEPTH, canonical_json};
pub use copy::{CopiedTable, CopyError, CopyProgress, CopyReport, CopyStep, CopyWatch};
pub use error::Error;
pub use hash::{BlobId, Hash};
pub use log::{
    Collected, Durability, EXPORT_VERSION, EventSeq, ExportLine, ExportedRecord, ExportedRun, Exporter,
    FORKED, Fault, FaultKind, ForkPoint, Garbage, Head, ImportError, ImportLimits, Importer, NewRun, Owner,
    Record, RecordPages, RecordQuery, RetentionPolicy, RunId, RunInfo, RunStatus, VerifyReport, Writer,
    check_export,
};
#[cfg(feature = "qdrant")]
pub use memories::QdrantVectors;
pub use memories::{
    Attachment, Coverage, Credit, Delta, Document, DocumentChange, DuplicateGroup, EmbeddedVectors,
    Embedding, ExactVectors, Explanation, ExportedMemory, Forgotten, Hit, ImportReport, IndexProgress,
    IndexStage, Memories, Memory, MemoryId, MemoryImportError, MemoryKind, MemoryStats, NewDocument,
    NewMemory, Point, Query, RankingWeights, ScoredMemory, SearchMatch, Source, Tenant, TextEmbedder, Tick,
    VectorQuery, VectorSpace, VectorStore, conformance, estimated_tokens,
};
pub use scratch::ScratchDatabase;
pub use sojourn_database::{BadUrl, Server};
pub use store::Store;
pub use unattended::{
    ApprovalId, ApprovalState, Arguments, AskedCall, BY_TIMEOUT, Due, ForWorkers, Heartbeat, Job, JobState,
    LogCollection, Message, Missed, NewApproval, NewMessage, NewRequest, NewSchedule, OnTimeout, Overlap,
    PendingApproval, Posted, QueueBell, QueueState, QueuedRun, RequestKind, RunRequest, Schedule, Submission,
    Timing, Work,
};
