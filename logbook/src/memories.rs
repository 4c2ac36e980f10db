//! Where memories came from, and what became of them.

use serde::Serialize;
use sojourn_memory::{Error, EventSeq, Memories, Memory, RecordQuery, RunId, Source, Tenant};

/// A record that a memory was made from.
#[derive(Debug, Clone, Serialize)]
pub struct Origin {
    /// Id of the run that wrote the record.
    pub run: RunId,
    /// Number of the record in the run.
    pub seq: EventSeq,
    /// The kind of the record; `-` where it cannot be read.
    pub kind: String,
    /// The record in one line, or why it cannot be read.
    pub says: String,
}

/// The records that a memory was made from.
pub async fn origins(memories: &Memories, memory: &Memory) -> Vec<Origin> {
    let mut origins = Vec::new();
    for Source { run, seq } in &memory.sources {
        let query = RecordQuery::from(*seq).to(*seq);
        let (kind, says) = match memories.store().records(run, &query).await {
            Ok(records) => match records.first() {
                Some(record) => {
                    let line = crate::line(memories.store(), record).await;
                    (record.kind.clone(), line.unwrap_or_else(|error| error.to_string()))
                }
                None => ("-".to_owned(), "the log does not contain it".to_owned()),
            },
            Err(error) => ("-".to_owned(), error.to_string()),
        };
        origins.push(Origin { run: run.clone(), seq: *seq, kind, says });
    }
    origins
}

/// The memories that replaced this one, in order.
///
/// # Errors
/// Any error of the store.
pub async fn successors(memories: &Memories, tenant: &Tenant, memory: &Memory) -> Result<Vec<Memory>, Error> {
    let mut later: Vec<Memory> = Vec::new();
    let mut next = memory.superseded_by;
    while let Some(id) = next.filter(|id| later.iter().all(|other| other.id != *id)) {
        let Some(newer) = memories.get(tenant, &id).await? else { break };
        next = newer.superseded_by;
        later.push(newer);
    }
    Ok(later)
}
