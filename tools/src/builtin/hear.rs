use serde::{Deserialize, Serialize};

/// `[tools.NAME]` with `kind = "hear"`: finds speech in sounds and writes it down. The tools take the handles of sounds that other
/// tools brought in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HearSettings {
    /// The model that writes speech down, from `sojourn models list --kind speech`, or a folder with `model.bin`, `config.json` and
    /// `vocabulary.txt` or `vocabulary.json`: a Whisper model as `CTranslate2` stores it, in 16- or 32-bit floats. Default: the
    /// default one of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Limit on the networks that stay loaded, in MiB, by the size of their files: the one that was not used for longest is dropped for
    /// another. Default: 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Time limit of a call, in milliseconds. Default: 600,000. On two cores a minute of speech takes a few seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}
