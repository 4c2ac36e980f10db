//! The pictures of a conversation: parts of type `image_url`, whose address holds the picture itself.

use super::ApiError;
use super::fields::Fields;
use crate::{Part, PictureRef};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Limit on the pictures of a request.
const MAX_PICTURES: usize = 16;
/// Base64, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The pictures of a conversation.
pub(super) struct Pictures {
    /// Whether the model can be shown any.
    sees: bool,
    /// The number of parts so far that show one.
    shown: usize,
    /// Their bytes, by the SHA-256 in hexadecimal.
    bytes: BTreeMap<String, Arc<[u8]>>,
}

impl Pictures {
    /// None so far, for a model that `sees` or does not.
    pub(super) fn new(sees: bool) -> Self {
        Self { sees, shown: 0, bytes: BTreeMap::new() }
    }

    /// The bytes of all pictures, by their addresses in the parts.
    pub(super) fn into_bytes(self) -> BTreeMap<String, Arc<[u8]>> {
        self.bytes
    }

    /// Reads a part of type `image_url`. Nothing is fetched, so the address must be a data URL.
    pub(super) fn read(&mut self, part: &mut Fields) -> Result<Part, ApiError> {
        if !self.sees {
            return Err(part.invalid("type", "must be `text`: the model cannot see"));
        }
        let Some(mut image) = part.object("image_url")? else {
            return Err(part.invalid("image_url", "is missing"));
        };
        image.ignore(&["detail"]);
        let url = image.needed_text("url")?;
        let (mime, data) = data_url(&url).ok_or_else(|| {
            image.invalid("url", "must be a data URL of a picture in base64: the server fetches nothing")
        })?;
        let bytes = BASE64.decode(data).map_err(|_| image.invalid("url", "is not in base64"))?;
        image.end()?;
        self.shown += 1;
        if self.shown > MAX_PICTURES {
            return Err(part.invalid("image_url", &format!("is one of more than {MAX_PICTURES} pictures")));
        }
        let blob = hex::encode(Sha256::digest(&bytes));
        self.bytes.entry(blob.clone()).or_insert_with(|| bytes.into());
        Ok(Part::picture(PictureRef { blob, mime, width: None, height: None }, ""))
    }
}

/// Type and data of `data:image/…;base64,…`.
fn data_url(url: &str) -> Option<(String, &str)> {
    let (scheme, rest) = url.split_at_checked("data:".len())?;
    let (head, data) = rest.split_once(',')?;
    let mut head = head.split(';');
    let mime = head.next()?.trim().to_ascii_lowercase();
    let is_base64 = head.next_back()?.trim().eq_ignore_ascii_case("base64");
    let is_picture = mime.strip_prefix("image/").is_some_and(|kind| !kind.is_empty() && kind.len() <= 32);
    (scheme.eq_ignore_ascii_case("data:") && is_base64 && is_picture).then_some((mime, data))
}
