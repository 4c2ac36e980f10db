//! Answers with an `ETag`, which a browser need not fetch twice.

use crate::StudioError;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A value as an answer with an `ETag`; an empty answer where the asker has the same already.
pub fn answer(headers: &HeaderMap, value: &impl Serialize) -> Result<Response, StudioError> {
    Ok(tagged(headers, "application/json", serde_json::to_vec(value)?))
}

/// A body with an `ETag`; an empty answer where the asker has the same already.
pub fn tagged(
    headers: &HeaderMap,
    media_type: &'static str,
    body: impl AsRef<[u8]> + IntoResponse,
) -> Response {
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(body.as_ref())[..12]));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let kept = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "private, no-cache")];
    if known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(header::CONTENT_TYPE, media_type)], body).into_response()
}
