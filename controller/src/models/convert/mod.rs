//! Converts published weights to GGUF files for llama.cpp.
//!
//! The embedding model is published as safetensors with a vocabulary. [`sentence_bert`] converts it, with
//! matrices quantised to `Q8_0`. The conversion is deterministic, so the catalogue can state the hash of the
//! result.

mod bert;
mod gguf;
mod q8_0;

pub use bert::{SentenceBert, sentence_bert};
pub use gguf::{GgufWriter, TensorKind, Value};
pub use q8_0::{dequantise, quantise};

use thiserror::Error;

/// Why weights cannot be converted.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// The configuration is invalid or of an unsupported model.
    #[error("invalid model configuration: {0}")]
    Config(String),
    /// The vocabulary does not match the configuration.
    #[error("invalid vocabulary: {0}")]
    Vocabulary(String),
    /// The safetensors file cannot be parsed.
    #[error("cannot read the weights: {0}")]
    Weights(#[from] safetensors::SafeTensorError),
    /// A tensor does not match the configuration.
    #[error("the tensor `{name}` {problem}")]
    Tensor {
        /// Name of the tensor in the safetensors file.
        name: String,
        /// The expectation that it does not meet; it completes the sentence "the tensor …".
        problem: String,
    },
}
