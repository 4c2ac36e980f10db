//! The pictures and sounds of a run: which its tools brought in, and the bytes that the log does not have yet.
//!
//! Bytes enter the log as a blob of the record whose outcome shows them. A replay learns the handles from those outcomes and
//! never needs the bytes. A handle opens only media of its own run, so no blob of another run can be read by its address.

use super::redact::Redactor;
use crate::model::RecordKind;
use async_trait::async_trait;
use serde_json::Value;
use sojourn_memory::{BlobId, Store};
use sojourn_tools::media::{MAX_MEDIA_BYTES, described, resolve};
use sojourn_tools::{Media, MediaError, MediaStore, ToolOutcome};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The media of one run.
pub struct RunMedia {
    store: Store,
    redactor: Redactor,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order of arrival.
    known: Vec<Media>,
    /// Bytes that no record has yet, by address.
    fresh: BTreeMap<String, Arc<[u8]>>,
}

/// A blob that a record refers to, with its bytes where the log does not have them yet.
pub(super) type MediaBlob = (BlobId, Option<Arc<[u8]>>);

impl RunMedia {
    pub(super) fn new(store: Store, redactor: Redactor) -> Self {
        Self { store, redactor, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the media of a recorded outcome.
    pub(super) fn learn(&self, outcome: &ToolOutcome) {
        let mut state = self.state();
        for media in outcome.media() {
            if !state.known.iter().any(|known| known.blob == media.blob) {
                state.known.push(media.clone());
            }
        }
    }

    /// Forgets what earlier calls brought in and no record shows: those calls were given up.
    pub(super) fn drop_unrecorded(&self) {
        let mut state = self.state();
        let fresh = std::mem::take(&mut state.fresh);
        state.known.retain(|media| !fresh.contains_key(&media.blob));
    }

    /// The blobs that a record of this kind refers to, by the outcome in its payload.
    pub(super) fn blobs(&self, kind: RecordKind, payload: &Value) -> Vec<MediaBlob> {
        if !matches!(kind, RecordKind::ToolAnswered | RecordKind::Returned) {
            return Vec::new();
        }
        let list = |name: &str| payload["outcome"][name].as_array().map_or(&[][..], Vec::as_slice);
        let shown = list("content").iter().filter(|part| part["type"] == "media").chain(list("about"));
        let state = self.state();
        let mut blobs: Vec<MediaBlob> = Vec::new();
        for address in shown.filter_map(|media| media["blob"].as_str()) {
            let known = state.known.iter().any(|media| media.blob == address);
            let Some(id) = address.parse::<BlobId>().ok().filter(|_| known) else { continue };
            if !blobs.iter().any(|(other, _)| *other == id) {
                blobs.push((id, state.fresh.get(address).cloned()));
            }
        }
        blobs
    }

    /// The log has these blobs now.
    pub(super) fn recorded(&self, blobs: &[MediaBlob]) {
        let mut state = self.state();
        for (id, _) in blobs {
            state.fresh.remove(&id.to_string());
        }
    }
}

#[async_trait]
impl MediaStore for RunMedia {
    fn put(&self, bytes: Vec<u8>, mime: &str, source: &str) -> Result<Media, MediaError> {
        match bytes.len() {
            0 => return Err(MediaError::Empty),
            1..=MAX_MEDIA_BYTES => {}
            bytes => return Err(MediaError::TooLarge { bytes }),
        }
        // A picture cannot be changed as a text can, so one that holds a secret is refused.
        if !self.redactor.is_empty() {
            let text = String::from_utf8_lossy(&bytes);
            if self.redactor.text(&text) != text {
                return Err(MediaError::Secret);
            }
        }
        let media = described(&bytes, mime, source);
        let mut state = self.state();
        if let Some(known) = state.known.iter().find(|known| known.blob == media.blob) {
            return Ok(known.clone());
        }
        state.known.push(media.clone());
        state.fresh.insert(media.blob.clone(), bytes.into());
        Ok(media)
    }

    fn find(&self, handle: &str) -> Result<Media, MediaError> {
        resolve(handle, self.state().known.iter()).cloned()
    }

    async fn bytes(&self, media: &Media) -> Result<Arc<[u8]>, MediaError> {
        if let Some(bytes) = self.state().fresh.get(&media.blob).cloned() {
            return Ok(bytes);
        }
        let gone = |reason: String| MediaError::Gone { handle: media.handle(), reason };
        let id = media.blob.parse::<BlobId>().map_err(|_| gone("it has no address".to_owned()))?;
        let bytes = self.store.blob(&id).await.map_err(|error| gone(error.to_string()))?;
        Ok(bytes.into())
    }
}
