use super::{MAX_MEDIA_BYTES, Media, MediaError, described, resolve};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps the media of a run, or of a call by hand.
#[async_trait]
pub trait MediaStore: Send + Sync {
    /// Takes a picture or a sound in; `mime` is its claimed type, `source` the tool that brings it. Equal bytes are kept once.
    ///
    /// # Errors
    /// The bytes are too many or none, or hold a secret.
    fn put(&self, bytes: Vec<u8>, mime: &str, source: &str) -> Result<Media, MediaError>;

    /// The media that a handle means.
    ///
    /// # Errors
    /// The text is no handle, or none or several fit.
    fn find(&self, handle: &str) -> Result<Media, MediaError>;

    /// The latest picture of the run's world; `None` where none was taken.
    fn frame(&self) -> Option<Media> {
        None
    }

    /// The bytes of media that [`find`](Self::find) gave.
    ///
    /// # Errors
    /// [`MediaError::Gone`].
    async fn bytes(&self, media: &Media) -> Result<Arc<[u8]>, MediaError>;
}

/// Describes bytes within the limits.
///
/// # Errors
/// There are too many bytes, or none.
pub(super) fn checked(bytes: &[u8], mime: &str, source: &str) -> Result<Media, MediaError> {
    match bytes.len() {
        0 => Err(MediaError::Empty),
        1..=MAX_MEDIA_BYTES => Ok(described(bytes, mime, source)),
        bytes => Err(MediaError::TooLarge { bytes }),
    }
}

/// Media that lives as long as this value, and, if there is one, the media of a store beneath, which is only read.
#[derive(Default)]
pub struct MediaInMemory {
    beneath: Option<Arc<dyn MediaStore>>,
    own: Mutex<Vec<(Media, Arc<[u8]>)>>,
}

impl MediaInMemory {
    /// Limit on the bytes of all media together. The oldest are dropped first.
    const MAX_BYTES: u64 = 256 << 20;

    /// Media above that of another store.
    pub fn over(beneath: Arc<dyn MediaStore>) -> Self {
        Self { beneath: Some(beneath), own: Mutex::default() }
    }
}

#[async_trait]
impl MediaStore for MediaInMemory {
    fn put(&self, bytes: Vec<u8>, mime: &str, source: &str) -> Result<Media, MediaError> {
        let media = checked(&bytes, mime, source)?;
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, _)) = own.iter().find(|(known, _)| known.blob == media.blob) {
            return Ok(known.clone());
        }
        own.push((media.clone(), bytes.into()));
        while own.iter().map(|(media, _)| media.bytes).sum::<u64>() > Self::MAX_BYTES {
            own.remove(0);
        }
        Ok(media)
    }

    fn find(&self, handle: &str) -> Result<Media, MediaError> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        match (resolve(handle, own.iter().map(|(media, _)| media)), &self.beneath) {
            (Err(MediaError::Unknown { .. }), Some(beneath)) => beneath.find(handle),
            (found, _) => found.cloned(),
        }
    }

    async fn bytes(&self, media: &Media) -> Result<Arc<[u8]>, MediaError> {
        let own = {
            let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            own.iter().find(|(known, _)| known.blob == media.blob).map(|(_, bytes)| Arc::clone(bytes))
        };
        match (own, &self.beneath) {
            (Some(bytes), _) => Ok(bytes),
            (None, Some(beneath)) => beneath.bytes(media).await,
            (None, None) => {
                Err(MediaError::Gone { handle: media.handle(), reason: "they are not kept".to_owned() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn equal_bytes_are_kept_once_and_the_store_beneath_is_seen_but_not_written() {
        let beneath = Arc::new(MediaInMemory::default());
        let first = beneath.put(b"GIF89a..".to_vec(), "image/gif", "camera").unwrap();
        let above = MediaInMemory::over(beneath.clone());
        assert_eq!(above.find(&first.handle()).unwrap(), first);
        assert_eq!(&*above.bytes(&first).await.unwrap(), b"GIF89a..");
        let second = above.put(b"GIF89a!!".to_vec(), "", "camera").unwrap();
        assert_eq!(above.put(b"GIF89a!!".to_vec(), "", "other").unwrap(), second);
        assert!(beneath.find(&second.handle()).is_err());
        assert!(matches!(beneath.bytes(&second).await, Err(MediaError::Gone { .. })));
        assert_eq!(beneath.put(Vec::new(), "", ""), Err(MediaError::Empty));
        let much = vec![0; MAX_MEDIA_BYTES + 1];
        assert_eq!(beneath.put(much, "", ""), Err(MediaError::TooLarge { bytes: MAX_MEDIA_BYTES + 1 }));
    }
}
