//! Memories: search, one with its origin, and what forgetting it would remove.

use super::{Answer, Shared};
use crate::json::answer;
use crate::query::Query;
use crate::{MemoryQuery, StudioError};
use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use serde_json::json;
use sojourn_logbook::memories::{origins, successors};
use sojourn_memory::MemoryId;
use std::fmt::Display;

/// `GET /memories`
pub async fn find(state: Shared, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let run = match query.text("run").filter(|run| !run.is_empty()) {
        Some(run) => Some(state.studio.store.run(run).await?.id),
        None => None,
    };
    let wanted = MemoryQuery {
        text: query.text("q").unwrap_or_default().to_owned(),
        limit: query.limit(50, 200)?,
        kind: query.text("kind").filter(|kind| !kind.is_empty()).map(str::to_owned),
        run,
    };
    let found = state.studio.commands.find_memories(&wanted).await?;
    let stats = state.studio.memories.stats(&state.studio.tenant).await?;
    answer(&headers, &json!({"found": found, "kinds": stats.kinds, "changes": stats.now}))
}

/// The id in a path.
pub(super) fn parsed(id: &str) -> Result<MemoryId, StudioError> {
    id.parse().map_err(|_| StudioError::Bad(format!("`{id}` is no id of a memory")))
}

/// The error for a memory that is not there.
pub(super) fn missing(id: impl Display) -> StudioError {
    StudioError::NotFound(format!("there is no memory `{id}`: it may have been forgotten"))
}

/// `GET /memories/{id}`
pub async fn one(state: Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let (memories, tenant) = (&state.studio.memories, &state.studio.tenant);
    let Some(memory) = memories.get(tenant, &parsed(&id)?).await? else {
        return Err(missing(id));
    };
    let sources = origins(memories, &memory).await;
    let replaced_by = successors(memories, tenant, &memory).await?;
    answer(&headers, &json!({"memory": memory, "sources": sources, "replaced_by": replaced_by}))
}

/// `GET /memories/{id}/forget`
pub async fn would_forget(state: Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let removed = state.studio.memories.would_forget(&state.studio.tenant, &parsed(&id)?).await?;
    let Some((records, blobs)) = removed else { return Err(missing(id)) };
    answer(&headers, &json!({"id": id, "records": records, "blobs": blobs}))
}
