//! Turning published weights into a GGUF file that llama.cpp runs.
//!
//! The embedding model is published as safetensors and a word list. [`sentence_bert`] makes the GGUF of it: the
//! matrices in blocks of eight bits ([`q8_0`]), the rest as it was. The same input always makes the same
//! bytes, so that the result has a hash that can be written down.

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
    /// The configuration is not that of a model this converter knows.
    #[error("the model's configuration cannot be used: {0}")]
    Config(String),
    /// The word list does not fit the configuration.
    #[error("the model's word list cannot be used: {0}")]
    Vocabulary(String),
    /// The file of weights cannot be read.
    #[error("the model's weights cannot be read: {0}")]
    Weights(#[from] safetensors::SafeTensorError),
    /// A tensor is not as the configuration says.
    #[error("the tensor `{name}` {problem}")]
    Tensor {
        /// Its name in the file of weights.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}
