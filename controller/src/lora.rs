use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A LoRA adapter (arXiv 2106.09685) in a GGUF file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// Path of the file.
    pub path: PathBuf,
    /// Scale of the adapter's weights; 1 is the scale it was trained with.
    #[serde(default = "Lora::whole")]
    pub scale: f32,
}

impl Lora {
    fn whole() -> f32 {
        1.0
    }
}
