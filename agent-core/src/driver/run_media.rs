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
use sojourn_tools::{Frame, Media, MediaError, MediaStore, ToolOutcome};
use std::collections::{BTreeMap, BTreeSet};
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
    /// Addresses of all of them.
    addresses: BTreeSet<String>,
    /// Bytes that no record has yet, by address.
    fresh: BTreeMap<String, Arc<[u8]>>,
    /// Bytes of the different pictures of the world.
    frame_bytes: u64,
    /// Address of the latest picture of the world.
    frame: Option<String>,
    /// The latest picture of the world that the log has since the last act.
    outcome: Option<Media>,
}

impl State {
    /// Whether the media was not known before.
    fn add(&mut self, media: &Media) -> bool {
        let new = self.addresses.insert(media.blob.clone());
        if new {
            self.known.push(media.clone());
        }
        new
    }

    fn get(&self, address: &str) -> Option<&Media> {
        self.addresses.get(address)?;
        self.known.iter().rev().find(|media| media.blob == address)
    }

    fn add_frame(&mut self, frame: &Media) -> bool {
        self.frame = Some(frame.blob.clone());
        let new = self.add(frame);
        if new {
            self.frame_bytes = self.frame_bytes.saturating_add(frame.bytes);
        }
        new
    }
}

/// Why a picture of the world is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameRefused {
    /// It is too large, or shows a secret.
    Unusable,
    /// The budget for such pictures is used up.
    OverBudget,
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
            state.add(media);
        }
    }

    /// Takes over a recorded picture of the world.
    pub(super) fn learn_frame(&self, frame: &Media) {
        self.state().add_frame(frame);
    }

    /// The agent acts: pictures from before show nothing of what comes of it.
    pub(super) fn begin_act(&self) {
        self.state().outcome = None;
    }

    /// The log has this picture of the world.
    pub(super) fn frame_recorded(&self, frame: &Media) {
        self.state().outcome = Some(frame.clone());
    }

    /// The latest picture of what came of the last act; `None` where the log has none.
    pub(super) fn outcome(&self) -> Option<Media> {
        self.state().outcome.clone()
    }

    /// Takes in a picture of the world `source`, of which at most `budget` bytes are kept in the run.
    pub(super) fn put_frame(&self, frame: Frame, source: &str, budget: u64) -> Result<Media, FrameRefused> {
        let media = self.checked(&frame.bytes, &frame.mime, source).map_err(|_| FrameRefused::Unusable)?;
        let mut state = self.state();
        let known = state.addresses.contains(&media.blob);
        if !known && state.frame_bytes.saturating_add(media.bytes) > budget {
            return Err(FrameRefused::OverBudget);
        }
        if state.add_frame(&media) {
            state.fresh.insert(media.blob.clone(), frame.bytes.into());
        }
        Ok(media)
    }

    /// Describes bytes that the run may keep.
    fn checked(&self, bytes: &[u8], mime: &str, source: &str) -> Result<Media, MediaError> {
        match bytes.len() {
            0 => return Err(MediaError::Empty),
            1..=MAX_MEDIA_BYTES => {}
            bytes => return Err(MediaError::TooLarge { bytes }),
        }
        // A picture cannot be changed as a text can, so one that holds a secret is refused.
        if !self.redactor.is_empty() {
            let text = String::from_utf8_lossy(bytes);
            if self.redactor.text(&text) != text {
                return Err(MediaError::Secret);
            }
        }
        Ok(described(bytes, mime, source))
    }

    /// Forgets what earlier calls brought in and no record shows: those calls were given up.
    pub(super) fn drop_unrecorded(&self) {
        let mut state = self.state();
        let fresh = std::mem::take(&mut state.fresh);
        state.known.retain(|media| !fresh.contains_key(&media.blob));
        state.addresses.retain(|address| !fresh.contains_key(address));
    }

    /// The blobs that a record of this kind refers to, by the outcome in its payload.
    pub(super) fn blobs(&self, kind: RecordKind, payload: &Value) -> Vec<MediaBlob> {
        let list = |name: &str| payload["outcome"][name].as_array().map_or(&[][..], Vec::as_slice);
        let shown: Vec<&Value> = match kind {
            RecordKind::ToolAnswered | RecordKind::Returned => {
                list("content").iter().filter(|part| part["type"] == "media").chain(list("about")).collect()
            }
            RecordKind::FrameTaken => vec![&payload["frame"]],
            RecordKind::Looked => vec![&payload["picture"]],
            _ => return Vec::new(),
        };
        let state = self.state();
        let mut blobs: Vec<MediaBlob> = Vec::new();
        for address in shown.into_iter().filter_map(|media| media["blob"].as_str()) {
            let known = state.addresses.contains(address);
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
        let media = self.checked(&bytes, mime, source)?;
        let mut state = self.state();
        if let Some(known) = state.get(&media.blob) {
            return Ok(known.clone());
        }
        state.add(&media);
        state.fresh.insert(media.blob.clone(), bytes.into());
        Ok(media)
    }

    fn frame(&self) -> Option<Media> {
        let state = self.state();
        state.get(state.frame.as_ref()?).cloned()
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
