use crate::media::Media;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A part of what a tool returns for display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// A picture or a sound whose bytes the run keeps.
    Media(Media),
    /// An image whose bytes are not kept yet.
    Image {
        /// The image file, base64-encoded.
        data: String,
        /// Media type, such as "image/png".
        mime: String,
    },
    /// An audio clip whose bytes are not kept yet.
    Audio {
        /// The audio file, base64-encoded.
        data: String,
        /// Media type, such as "audio/wav".
        mime: String,
    },
    /// A link to a resource.
    ResourceLink {
        /// Address of the resource.
        uri: String,
        /// Display name.
        name: String,
        /// Media type, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime: Option<String>,
    },
}

/// A JSON value as text: a string without quotes, anything else as JSON.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Content {
    /// Makes a [`Content::Text`].
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// Approximate size in the log, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Media(media) => media.blob.len() + media.mime.len() + media.source.len(),
            Self::Image { data, mime } | Self::Audio { data, mime } => data.len() + mime.len(),
            Self::ResourceLink { uri, name, .. } => uri.len() + name.len(),
        }
    }

    /// The part as text. Kept media appears with its handle; images, audio and links with their type, size and address.
    pub fn to_text(&self) -> String {
        let bytes = |data: &str| data.len() / 4 * 3;
        match self {
            Self::Text { text } => text.clone(),
            Self::Media(media) => format!("[{media}]"),
            Self::Image { data, mime } => format!("[an image, {mime}, {} bytes]", bytes(data)),
            Self::Audio { data, mime } => format!("[audio, {mime}, {} bytes]", bytes(data)),
            Self::ResourceLink { uri, name, .. } => format!("[{name}: {uri}]"),
        }
    }
}
