//! What the studio does by the code of the commands.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sojourn_memory::{EventSeq, Forgotten, Hit, MemoryId, RunId};

/// What to look for in the memories.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MemoryQuery {
    /// The words; empty for the newest memories.
    pub text: String,
    /// The largest number of memories.
    pub limit: usize,
    /// The kind, by its name; all kinds where it is absent.
    pub kind: Option<String>,
    /// Only memories of this run.
    pub run: Option<RunId>,
}

/// Memories that were found, the best first.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// `words`, or `words and meaning`.
    pub searched_by: &'static str,
    /// The memories with the reason for each.
    pub memories: Vec<Hit>,
}

/// Why a command did nothing, for people.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What failed, on what, and why.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What the studio does by the code of the commands. Each action is one that the command line has.
#[async_trait]
pub trait Commands: Send + Sync {
    /// As `sojourn memory search`.
    async fn find_memories(&self, query: &MemoryQuery) -> Result<Found, Refused>;

    /// As `sojourn memory forget`; `None` where there is no such memory.
    async fn forget(&self, id: &MemoryId) -> Result<Option<Forgotten>, Refused>;

    /// As `sojourn memory pin` and `unpin`.
    async fn pin(&self, id: &MemoryId, pinned: bool) -> Result<(), Refused>;

    /// As `sojourn fork RUN --at SEQ --no-run`, with `--set` for each of `settings`; returns the new run.
    async fn fork(&self, run: &RunId, at: EventSeq, settings: Vec<String>) -> Result<RunId, Refused>;

    /// As Ctrl-C at the run's terminal: the step under way is finished, and the run can be resumed.
    async fn stop(&self, run: &RunId) -> Result<(), Refused>;

    /// As `sojourn skills retire NAME --reason …`.
    async fn retire(&self, name: &str, version: u32, reason: &str) -> Result<(), Refused>;

    /// As `sojourn skills rollback NAME --to VERSION`.
    async fn roll_back(&self, name: &str, to: u32) -> Result<(), Refused>;
}
