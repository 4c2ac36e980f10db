use serde::{Deserialize, Serialize};

/// `[tools.NAME]` with `kind = "see"`: reads text in pictures, finds words and compares pictures. The tools take the handles
/// of pictures that other tools brought in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeeSettings {
    /// The model that reads text, from `sojourn models list --kind vision`. Default: the default one of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The model that compares what pictures show, such as `"dinov2-small"`: it adds `NAME_similar` and `NAME_recognise`. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// Time limit of a call, in milliseconds. Default: 120,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}
