use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A low-rank adapter (arXiv 2106.09685), as a GGUF file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// The file.
    pub path: PathBuf,
    /// How much of it is added; 1 is what it was trained for.
    #[serde(default = "Lora::whole")]
    pub scale: f32,
}

impl Lora {
    fn whole() -> f32 {
        1.0
    }
}
