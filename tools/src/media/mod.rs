//! Pictures and sounds as data: bytes are kept once, and everything else passes a short handle, `media:3f2a…`.
//!
//! No prompt, record or result of a skill holds the bytes. A tool hands them to the [`MediaStore`] of its call and returns
//! [`Content::Media`](crate::Content::Media); the toolbox does the same for parts in base64. A handle is valid only where
//! its media was brought in, so it opens nothing that belongs to another run.

mod kind;
mod store;

pub use kind::{described, recognised};
pub use store::{MediaInMemory, MediaStore};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Limit on the size of one picture or sound, in bytes: written in hexadecimal it fits a line of an exported log.
pub const MAX_MEDIA_BYTES: usize = 24 << 20;
/// Limit on the pictures and sounds of one result.
pub const MAX_MEDIA_OF_A_RESULT: usize = 32;
/// Beginning of every handle.
const SCHEME: &str = "media:";
/// Digits of the address in a handle.
const SHOWN_DIGITS: usize = 16;
/// Least digits of the address by which media is found.
const LEAST_DIGITS: usize = 8;
/// Limit on the media that an error names.
const MAX_NAMED: usize = 6;

/// A picture or a sound: everything about it but its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Address of the bytes: their SHA-256 in hexadecimal, as the log addresses blobs.
    pub blob: String,
    /// Media type, such as "image/png": by the content where that is recognised, as claimed otherwise.
    pub mime: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Width of the stored picture in pixels, before any rotation by its metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height of the stored picture in pixels, before any rotation by its metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Length of a sound in milliseconds, where its head gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Name of the tool that brought it in.
    pub source: String,
}

impl Media {
    /// The handle: `media:` and the first 16 digits of the address.
    pub fn handle(&self) -> String {
        format!("{SCHEME}{}", self.blob.get(..SHOWN_DIGITS).unwrap_or(&self.blob))
    }

    /// Whether it is a picture, by its type.
    pub fn is_picture(&self) -> bool {
        self.mime.starts_with("image/")
    }
}

impl fmt::Display for Media {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, {}", self.handle(), self.mime)?;
        match (self.width, self.height, self.duration_ms) {
            (Some(width), Some(height), _) => write!(formatter, ", {width}×{height}"),
            (_, _, Some(duration)) => write!(formatter, ", {}.{} s", duration / 1000, duration % 1000 / 100),
            _ => write!(formatter, ", {} bytes", self.bytes),
        }
    }
}

/// Why media cannot be taken in or found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// The bytes are too many.
    #[error("it has {bytes} bytes; the limit for a picture or a sound is {MAX_MEDIA_BYTES}")]
    TooLarge {
        /// Size in bytes.
        bytes: usize,
    },
    /// There are no bytes.
    #[error("it is empty")]
    Empty,
    /// The bytes contain a declared secret.
    #[error("it contains a declared secret")]
    Secret,
    /// The call keeps no media.
    #[error("pictures and sounds are not kept here")]
    NotKept,
    /// The text is no handle.
    #[error("`{0}` is no handle of a picture or a sound; handles look like `media:3f2a91c07b5de846`")]
    NoHandle(String),
    /// No media of the run has this handle.
    #[error("there is no `{handle}` in this run{}", listed(known))]
    Unknown {
        /// The handle.
        handle: String,
        /// Handles of the run, the newest first.
        known: Vec<String>,
    },
    /// Several media begin with these digits.
    #[error("`{0}` fits several pictures or sounds; give all digits of the handle")]
    Ambiguous(String),
    /// The bytes are gone: they were forgotten, or the log is damaged.
    #[error("the bytes of `{handle}` cannot be read: {reason}")]
    Gone {
        /// The handle.
        handle: String,
        /// Why, in lower case.
        reason: String,
    },
}

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        return ": no tool has brought in a picture or a sound".to_owned();
    }
    let named: Vec<String> = known.iter().take(MAX_NAMED).map(|handle| format!("`{handle}`")).collect();
    format!("; it has {}{}", named.join(", "), if known.len() > MAX_NAMED { ", …" } else { "" })
}

/// The digits of a handle, in lower case.
fn digits_of(handle: &str) -> Result<String, MediaError> {
    let shown = || handle.chars().take(80).collect::<String>();
    let digits = handle.trim().strip_prefix(SCHEME).map(str::to_ascii_lowercase);
    digits
        .filter(|digits| {
            (LEAST_DIGITS..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
        })
        .ok_or_else(|| MediaError::NoHandle(shown()))
}

/// The one of `known` that a handle means. `known` is in the order of arrival.
///
/// # Errors
/// The text is no handle, or none or several fit.
pub fn resolve<'a>(
    handle: &str,
    known: impl DoubleEndedIterator<Item = &'a Media> + Clone,
) -> Result<&'a Media, MediaError> {
    let digits = digits_of(handle)?;
    let mut fitting = known.clone().filter(|media| media.blob.starts_with(&digits));
    match (fitting.next(), fitting.next()) {
        (Some(media), None) => Ok(media),
        (Some(_), Some(_)) => Err(MediaError::Ambiguous(format!("{SCHEME}{digits}"))),
        (None, _) => Err(MediaError::Unknown {
            handle: format!("{SCHEME}{digits}"),
            known: known.rev().take(MAX_NAMED + 1).map(Media::handle).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(blob: &str) -> Media {
        Media {
            blob: blob.repeat(8),
            mime: "image/png".into(),
            bytes: 9,
            width: Some(4),
            height: Some(3),
            duration_ms: None,
            source: "camera".into(),
        }
    }

    #[test]
    fn a_handle_finds_its_media_and_another_names_what_there_is() {
        let known = [media("0123abcd"), media("0123abce"), media("ffffffff")];
        let find = |handle: &str| resolve(handle, known.iter()).map(|media| media.blob.clone());
        assert_eq!(find(&known[1].handle()), Ok(known[1].blob.clone()));
        assert_eq!(find("media:0123ABCD"), Ok(known[0].blob.clone()));
        for wrong in ["", "0123abcd", "media:0123", "media:0123abcz", "[media:0123abcd]"] {
            assert!(matches!(find(wrong), Err(MediaError::NoHandle(_))), "{wrong}");
        }
        let error = find("media:00000000").unwrap_err().to_string();
        assert!(error.contains("in this run; it has `media:ffffffffffffffff`, `media:0123abce"), "{error}");
        let twins = [media("0123abcd"), Media { blob: "0123abcd".repeat(7) + "00000000", ..media("0") }];
        assert!(matches!(resolve("media:0123abcd", twins.iter()), Err(MediaError::Ambiguous(_))));
        let none: [Media; 0] = [];
        assert!(resolve("media:00000000", none.iter()).unwrap_err().to_string().ends_with("or a sound"));
    }
}
