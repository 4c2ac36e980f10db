//! A fusion encoder: whether a sentence says what a picture shows.

use super::prepare::Preparation;
use super::tokenizer::Tokenizer;
use super::{Network, WordsError, check_text, failed, row, tokenizer};
use crate::Picture;
use std::path::Path;

/// Longest sentence, in tokens: what BLIP was trained with.
const LENGTH: usize = 35;

/// Says how probable it is that a sentence belongs to a picture, by cross-attention of its words over the picture's patches.
pub struct Matcher {
    network: Network,
    tokenizer: Tokenizer,
    preparation: Preparation,
}

impl Matcher {
    /// Loads the network in `folder`.
    ///
    /// # Errors
    /// A file is missing, or is not what such a model needs.
    pub fn open(folder: &Path) -> Result<Self, WordsError> {
        Ok(Self {
            network: Network::open(folder.join("model.onnx"))?,
            tokenizer: tokenizer(folder)?,
            preparation: Preparation::read(folder)?,
        })
    }

    /// The probability that the text says what the picture shows, 0 to 1. Of a long text the beginning counts.
    ///
    /// # Errors
    /// The text is empty or has more than 1000 characters, or the network fails.
    pub fn matches(&self, picture: &Picture, text: &str) -> Result<f32, WordsError> {
        check_text(text)?;
        let tokens = self.tokenizer.tokens(text, LENGTH);
        let mask = vec![1; tokens.len()];
        let mut inputs = vec![
            (self.network.needed("pixel_values")?, self.preparation.planes(picture)?),
            (self.network.needed("input_ids")?, row(tokens)?),
        ];
        if let Some(input) = self.network.input("attention_mask") {
            inputs.push((input, row(mask)?));
        }
        let scores = self.network.run(inputs, &["itm_score", "logits"])?;
        let [no, yes] = scores[..] else {
            return Err(failed(format!("it gave {} numbers instead of 2", scores.len())));
        };
        Ok(1.0 / (1.0 + (no - yes).exp()))
    }
}
