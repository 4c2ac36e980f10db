//! Agents that may be started, and calls that wait for a person.

use super::{Answer, Shared};
use crate::ApprovalQuery;
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
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let wanted = ApprovalQuery { run, answered: query.text("all").is_some(), offset, limit };
    answer(&headers, &state.studio.commands.approvals(&wanted).await?)
}

/// `GET /approvals/{id}`
pub async fn one(state: Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    answer(&headers, &state.studio.commands.approval(&id).await?)
}
