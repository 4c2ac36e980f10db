//! Pictures and words together: a dual encoder gives both vectors of one space (CLIP, Radford et al. 2021; `SigLIP`, Zhai et al. 2023), and
//! a fusion encoder looks at a picture with a sentence in mind and says whether they match (BLIP, Li et al. 2022).
//!
//! Models are folders with the files that are published for ONNX Runtime: `vision_model.onnx` and `text_model.onnx` of a dual encoder,
//! `model.onnx` of a fusion encoder, and beside them `tokenizer.json`, `preprocessor_config.json` and `config.json`.

mod dual;
mod fusion;
mod pieces;
mod prepare;
mod tokenizer;

pub use dual::{DualEncoder, Labelled};
pub use fusion::Matcher;

use rten::{Model, NodeId, Value};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use tokenizer::Tokenizer;

/// Limit on a text, in characters.
pub const MAX_TEXT: usize = 1000;

/// Limit on the labels of one picture. Each is read by the network, some of them in a second.
const MAX_LABELS: usize = 256;

/// Why a picture and words cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// A file of the model cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file is not what such a model needs.
    #[error("`{path}` cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The words are unusable.
    #[error("{0}")]
    BadText(String),
    /// The network failed.
    #[error("the network failed: {0}")]
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> WordsError {
    WordsError::Failed(error.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, WordsError> {
    std::fs::read(path)
        .map_err(|error| WordsError::Unreadable { path: path.to_owned(), reason: error.to_string() })
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, WordsError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| WordsError::Unusable { path: path.to_owned(), reason: error.to_string() })
}

fn tokenizer(folder: &Path) -> Result<Tokenizer, WordsError> {
    let path = folder.join("tokenizer.json");
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    Tokenizer::read(&text).map_err(|reason| WordsError::Unusable { path, reason })
}

/// A network with inputs by their names.
struct Network {
    model: Model,
    path: PathBuf,
}

impl Network {
    fn open(path: PathBuf) -> Result<Self, WordsError> {
        let model = Model::load(read(&path)?)
            .map_err(|error| WordsError::Unusable { path: path.clone(), reason: error.to_string() })?;
        Ok(Self { model, path })
    }

    /// The input with this name, where the network has one.
    fn input(&self, name: &str) -> Option<NodeId> {
        self.model.find_node(name).filter(|id| self.model.input_ids().contains(id))
    }

    fn needed(&self, name: &str) -> Result<NodeId, WordsError> {
        let reason = || format!("it has no input `{name}`");
        self.input(name).ok_or_else(|| WordsError::Unusable { path: self.path.clone(), reason: reason() })
    }

    /// Runs the network. Returns one of its outputs, the first of `names` that it has, or its first one.
    fn run(&self, inputs: Vec<(NodeId, Value)>, names: &[&str]) -> Result<Vec<f32>, WordsError> {
        let outputs = self.model.output_ids();
        let named =
            names.iter().filter_map(|name| self.model.find_node(name)).find(|id| outputs.contains(id));
        let output = named.or(outputs.first().copied()).ok_or_else(|| failed("it gives nothing"))?;
        let inputs = inputs.into_iter().map(|(id, value)| (id, value.into())).collect();
        let found = self.model.run(inputs, &[output], None).map_err(failed)?.into_iter().next();
        let (_, data) =
            found.ok_or_else(|| failed("it gave nothing"))?.into_shape_vec::<f32, 2>().map_err(failed)?;
        Ok(data)
    }
}

/// A row of tokens as an input.
fn row(tokens: Vec<i32>) -> Result<Value, WordsError> {
    Value::from_shape([1, tokens.len()], tokens).map_err(failed)
}

fn check_text(text: &str) -> Result<(), WordsError> {
    match text.chars().count() {
        0 => Err(WordsError::BadText("a text is empty".to_owned())),
        1..=MAX_TEXT => Ok(()),
        count => Err(WordsError::BadText(format!("a text has {count} characters; the limit is {MAX_TEXT}"))),
    }
}

pub(crate) fn check_labels(labels: &[String]) -> Result<(), WordsError> {
    match labels.len() {
        1..=MAX_LABELS => Ok(()),
        count => Err(WordsError::BadText(format!("give 1 to {MAX_LABELS} labels; there are {count}"))),
    }
}
