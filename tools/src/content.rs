use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A piece of what a tool shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// Words.
    Text {
        /// They.
        text: String,
    },
    /// A picture.
    Image {
        /// Its bytes in base64.
        data: String,
        /// "image/png".
        mime: String,
    },
    /// A sound.
    Audio {
        /// Its bytes in base64.
        data: String,
        /// "audio/wav".
        mime: String,
    },
    /// Where something can be read.
    ResourceLink {
        /// Its address.
        uri: String,
        /// What it is called.
        name: String,
        /// What it is, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime: Option<String>,
    },
}

/// A value as it reads: a text as it is, anything else as JSON.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Content {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// How many bytes it takes up in the log, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Image { data, mime } | Self::Audio { data, mime } => data.len() + mime.len(),
            Self::ResourceLink { uri, name, .. } => uri.len() + name.len(),
        }
    }

    /// How it reads where only words can be shown: other things by their kind, size and address.
    pub fn as_words(&self) -> String {
        let bytes = |data: &str| data.len() / 4 * 3;
        match self {
            Self::Text { text } => text.clone(),
            Self::Image { data, mime } => format!("[a picture, {mime}, {} bytes]", bytes(data)),
            Self::Audio { data, mime } => format!("[a sound, {mime}, {} bytes]", bytes(data)),
            Self::ResourceLink { uri, name, .. } => format!("[{name}: {uri}]"),
        }
    }
}
