//! A dual encoder: pictures and texts as vectors of one space.

use super::prepare::Preparation;
use super::tokenizer::Tokenizer;
use super::{Network, WordsError, check_labels, check_text, failed, json, row, tokenizer};
use crate::Picture;
use crate::features::{similarity, unit};
use serde::Deserialize;
use std::path::Path;

/// What cosines are multiplied by before they become probabilities: the scale that CLIP's published models have learned.
const SCALE: f32 = 100.0;
/// Texts of a model that says nothing of their length, in tokens: CLIP's and `SigLIP`'s.
const DEFAULT_LENGTH: usize = 77;
const FILLED_LENGTH: usize = 64;

/// The part of `config.json` that matters here.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    model_type: String,
    #[serde(default)]
    text_config: TextConfig,
}

#[derive(Default, Deserialize)]
struct TextConfig {
    #[serde(default)]
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    pad_token_id: Option<i32>,
}

/// Gives pictures and texts vectors that lie near each other where the text says what the picture shows.
pub struct DualEncoder {
    vision: Network,
    text: Network,
    tokenizer: Tokenizer,
    preparation: Preparation,
    /// Longest text, in tokens.
    length: usize,
    /// Every text is filled up to `length` by this token, where the model was trained so.
    fill: Option<i32>,
}

/// How well a label fits a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labelled<'a> {
    /// The label.
    pub label: &'a str,
    /// The cosine of the angle between picture and label, -1 to 1.
    pub similarity: f32,
    /// The share of this label among all, 0 to 1.
    pub probability: f32,
}

impl DualEncoder {
    /// Loads the networks in `folder`.
    ///
    /// # Errors
    /// A file is missing, or is not what such a model needs.
    pub fn open(folder: &Path) -> Result<Self, WordsError> {
        let config: Config = json(&folder.join("config.json"))?;
        let tokenizer = tokenizer(folder)?;
        // SigLIP was trained on texts of one length, and looks at the last token.
        let fills = config.model_type.starts_with("siglip");
        let default = if fills { FILLED_LENGTH } else { DEFAULT_LENGTH };
        let length = config.text_config.max_position_embeddings.unwrap_or(default).clamp(2, 4096);
        let pad = || config.text_config.pad_token_id.or_else(|| tokenizer.token("<pad>"));
        let fill = if fills { Some(pad().unwrap_or(1)) } else { None };
        Ok(Self {
            vision: Network::open(folder.join("vision_model.onnx"))?,
            text: Network::open(folder.join("text_model.onnx"))?,
            tokenizer,
            preparation: Preparation::read(folder)?,
            length,
            fill,
        })
    }

    /// The vector of a picture, of length 1.
    ///
    /// # Errors
    /// The network fails: it is of another kind.
    pub fn picture(&self, picture: &Picture) -> Result<Vec<f32>, WordsError> {
        let inputs = vec![(self.vision.needed("pixel_values")?, self.preparation.planes(picture)?)];
        Ok(unit(&self.vision.run(inputs, &["image_embeds", "pooler_output"])?))
    }

    /// The vector of a text, of length 1. Of a long text the beginning counts.
    ///
    /// # Errors
    /// The text is empty or has more than 1000 characters, or the network fails.
    pub fn text(&self, text: &str) -> Result<Vec<f32>, WordsError> {
        check_text(text)?;
        // SigLIP was trained on small letters, and the tokenizer that is published with SigLIP 2 does not make them.
        let small = self.fill.map(|_| text.to_lowercase());
        let mut tokens = self.tokenizer.tokens(small.as_deref().unwrap_or(text), self.length);
        let mut mask = vec![1; tokens.len()];
        if let Some(fill) = self.fill {
            tokens.resize(self.length, fill);
            mask.resize(self.length, 0);
        }
        let mut inputs = vec![(self.text.needed("input_ids")?, row(tokens)?)];
        if let Some(input) = self.text.input("attention_mask") {
            inputs.push((input, row(mask)?));
        }
        Ok(unit(&self.text.run(inputs, &["text_embeds", "pooler_output"])?))
    }

    /// How similar a picture and a text are, -1 to 1.
    ///
    /// # Errors
    /// As [`text`](Self::text); [`WordsError::Failed`] if the two networks do not belong together.
    pub fn similarity(&self, picture: &[f32], text: &str) -> Result<f32, WordsError> {
        let text = self.text(text)?;
        if text.len() != picture.len() {
            let reason = format!("pictures have {} numbers and texts {}", picture.len(), text.len());
            return Err(failed(reason));
        }
        Ok(similarity(picture, &text))
    }

    /// The labels in the order in which they fit a picture with this vector, the best first.
    ///
    /// # Errors
    /// As [`similarity`](Self::similarity); there is no label, or more than 256.
    pub fn classify<'a>(
        &self,
        picture: &[f32],
        labels: &'a [String],
    ) -> Result<Vec<Labelled<'a>>, WordsError> {
        check_labels(labels)?;
        let mut found = Vec::with_capacity(labels.len());
        for label in labels {
            let similarity = self.similarity(picture, label)?;
            found.push(Labelled { label, similarity, probability: 0.0 });
        }
        let most = found.iter().map(|label| label.similarity).fold(f32::NEG_INFINITY, f32::max);
        let share = |similarity: f32| (SCALE * (similarity - most)).exp();
        let sum: f32 = found.iter().map(|label| share(label.similarity)).sum();
        for label in &mut found {
            label.probability = share(label.similarity) / sum;
        }
        found.sort_by(|one, other| other.similarity.total_cmp(&one.similarity));
        Ok(found)
    }
}
