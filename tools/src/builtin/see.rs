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
    /// A dual encoder, which compares pictures with words: a folder with `vision_model.onnx`, `text_model.onnx`, `tokenizer.json`,
    /// `preprocessor_config.json` and `config.json` of CLIP or `SigLIP`. It adds `NAME_classify`, and texts to `NAME_similar`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dual: Option<String>,
    /// A fusion encoder, which says whether a sentence belongs to a picture: a folder with `model.onnx`, `tokenizer.json` and
    /// `preprocessor_config.json` of BLIP for image–text matching. It adds `NAME_match`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matcher: Option<String>,
    /// The language model that answers questions about pictures: it adds `NAME_describe` and `NAME_ask`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub describer: Option<DescriberSettings>,
    /// Limit on the networks that stay loaded, in MiB, by the size of their files: the one that was not used for longest is dropped for
    /// another. The describer is not among them. Default: 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Time limit of a call, in milliseconds. Default: 120,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// A language model that sees, in this process: two files that are published together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescriberSettings {
    /// The model: a name of `sojourn models list`, or a `.gguf` file.
    pub model: String,
    /// Its projector of pictures (`mmproj`): a `.gguf` file.
    pub mmproj: String,
    /// Context in tokens, for a picture, a question and its answer. Default: 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
}
