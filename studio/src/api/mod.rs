//! The API: JSON over HTTP, paged everywhere. `docs/src/studio-api.md` describes it.

mod act;
mod approvals;
mod decline;
mod live;
mod memories;
mod records;
mod runs;
mod skills;

pub(crate) use decline::fall;
pub(crate) use records::detail;

use crate::{App, StudioError};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use std::sync::Arc;

type Shared = axum::extract::State<Arc<App>>;
type Answer = Result<Response, StudioError>;

/// The routes below `/api`.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/home", get(runs::home))
        .route("/agents", get(approvals::agents))
        .route("/settings", get(runs::settings_of_agent))
        .route("/approvals", get(approvals::list))
        .route("/approvals/{id}", get(approvals::one).post(act::approve))
        .route("/runs", get(runs::list).post(act::start))
        .route("/runs/{run}", get(runs::one))
        .route("/runs/{run}/summary", get(runs::summary))
        .route("/runs/{run}/series", get(runs::series))
        .route("/runs/{run}/groups", get(records::groups))
        .route("/runs/{run}/buckets", get(records::buckets))
        .route("/runs/{run}/records", get(records::list))
        .route("/runs/{run}/records/{seq}", get(records::one))
        .route("/runs/{run}/records/{seq}/media/{address}", get(records::media))
        .route("/runs/{run}/next", get(records::next))
        .route("/runs/{run}/search", get(records::search))
        .route("/runs/{run}/frames", get(records::frames))
        .route("/runs/{run}/decline", get(decline::decline))
        .route("/runs/{run}/settings", get(runs::settings))
        .route("/runs/{run}/starting", get(runs::starting))
        .route("/runs/{run}/events", get(live::events))
        .route("/runs/{run}/stop", post(act::stop))
        .route("/runs/{run}/resume", post(act::resume))
        .route("/runs/{run}/fork", post(act::fork))
        .route("/runs/{run}/goals", get(runs::goals).post(act::add_goal))
        .route("/skills", get(skills::list))
        .route("/skill-calls", get(skills::calls))
        .route("/skills/{name}", get(skills::one))
        .route("/skills/{name}/run", post(act::try_skill))
        .route("/skills/{name}/retire", post(act::retire))
        .route("/skills/{name}/rollback", post(act::roll_back))
        .route("/memories", get(memories::find))
        .route("/memories/{id}", get(memories::one))
        .route("/memories/{id}/forget", get(memories::would_forget).post(act::forget))
        .route("/memories/{id}/pin", post(act::pin))
        .route("/memories/{id}/edit", post(act::edit))
        .fallback(nothing)
}

async fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "the API has no such path; docs/src/studio-api.md lists them\n").into_response()
}

/// The body of an action.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, StudioError> {
    serde_json::from_slice(bytes)
        .map_err(|error| StudioError::Bad(format!("the body is not as it must be: {error}")))
}
