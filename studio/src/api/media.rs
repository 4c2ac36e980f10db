//! Pictures that records show.

use super::Shared;
use crate::StudioError;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use sojourn_core::LogRecord;
use sojourn_memory::{BlobId, EventSeq, RecordQuery};
use sojourn_tools::media::recognised;

/// The types of pictures that a browser is given. Others, such as SVG, may hold scripts.
const TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// `GET /runs/{run}/records/{seq}/media/{blob}`: the bytes of a picture that the outcome in this record shows.
pub async fn picture(
    state: Shared,
    Path((run, seq, blob)): Path<(String, u64, String)>,
) -> Result<Response, StudioError> {
    let missing = || StudioError::NotFound(format!("record {seq} shows no picture `{blob}`"));
    let store = &state.studio.store;
    let info = store.run(&run).await?;
    let query = RecordQuery::from(EventSeq(seq)).to(EventSeq(seq));
    let record = store.records(&info.id, &query).await?.pop().ok_or_else(missing)?;
    let content = LogRecord::read_without_blobs(&record)?.ok_or_else(missing)?;
    let mut shown = content.outcome().into_iter().flat_map(sojourn_tools::ToolOutcome::media);
    let id = shown.find(|media| media.blob == blob).and_then(|media| media.blob.parse::<BlobId>().ok());
    // A reference that the record has no blob for is not the run's own.
    let id = id.filter(|id| record.blobs.contains(id)).ok_or_else(missing)?;
    let bytes = store.blob(&id).await?;
    let media_type = recognised(&bytes).filter(|name| TYPES.contains(name)).ok_or_else(missing)?;
    // Bytes under their own hash never change.
    let kept =
        [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "private, max-age=86400, immutable")];
    Ok((kept, bytes).into_response())
}
