//! Agents that may be started, and calls that wait for a person.

use super::{Answer, Shared};
use crate::json::answer;
use crate::query::Query;
use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use serde_json::json;

/// `GET /agents`
pub async fn agents(state: Shared, headers: HeaderMap) -> Answer {
    answer(&headers, &json!({"agents": state.studio.commands.agents().await?}))
}

/// `GET /approvals`
pub async fn list(state: Shared, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let (offset, limit) = (query.number("offset", 0)?, query.limit(200, 1000)?);
    let run = match query.text("run").filter(|run| !run.is_empty()) {
        Some(run) => Some(state.studio.store.run(run).await?.id),
        None => None,
    };
    let all = state.studio.commands.approvals(run.as_ref(), query.text("all").is_some()).await?;
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let page: Vec<_> = all.iter().skip(offset).take(limit).collect();
    answer(&headers, &json!({"total": all.len(), "offset": offset, "approvals": page}))
}

/// `GET /approvals/{id}`
pub async fn one(state: Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    answer(&headers, &state.studio.commands.approval(&id).await?)
}
