//! Answers in JSON, which a browser need not fetch twice.

use crate::StudioError;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The longest payload of a record that is sent whole, in bytes.
pub const LONGEST_PAYLOAD: usize = 8 << 20;

/// A value as an answer with an `ETag`; an empty answer where the asker has the same already.
pub fn answer(headers: &HeaderMap, value: &impl Serialize) -> Result<Response, StudioError> {
    let body = serde_json::to_vec(value)?;
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..12]));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let kept = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "private, no-cache")];
    if known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag)) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    Ok((kept, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}
