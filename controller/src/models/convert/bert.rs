//! Converts a BERT sentence encoder, as published on Hugging Face, to GGUF.

use super::{ConvertError, GgufWriter, TensorKind, Value, q8_0};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

/// The published files of a sentence encoder.
#[derive(Debug, Clone, Copy)]
pub struct SentenceBert<'a> {
    /// Name of the model, stored in the file.
    pub name: &'a str,
    /// Identifier of the licence, stored in the file.
    pub licence: &'a str,
    /// Content of `config.json`.
    pub config: &'a str,
    /// Content of `vocab.txt`: one word piece per line, in the order of ids.
    pub vocabulary: &'a str,
    /// Content of `model.safetensors`.
    pub weights: &'a [u8],
}

/// The used part of `config.json`.
#[derive(Deserialize)]
struct Config {
    model_type: String,
    hidden_size: u32,
    intermediate_size: u32,
    layer_norm_eps: f32,
    max_position_embeddings: u32,
    num_attention_heads: u32,
    num_hidden_layers: u32,
    type_vocab_size: u32,
    vocab_size: u32,
}

/// Converts a BERT encoder with mean pooling to GGUF.
///
/// Matrices are quantised to `Q8_0`. Norms, biases and the two small embedding tables stay `f32`, because
/// llama.cpp adds them without a matrix product. The pooler is omitted, because sentence vectors do not use
/// it.
///
/// # Errors
/// [`ConvertError`].
pub fn sentence_bert(model: SentenceBert<'_>) -> Result<GgufWriter, ConvertError> {
    let config: Config =
        serde_json::from_str(model.config).map_err(|error| ConvertError::Config(error.to_string()))?;
    if config.model_type != "bert" {
        return Err(ConvertError::Config(format!(
            "its model type is `{}` instead of `bert`",
            config.model_type
        )));
    }
    let mut gguf = GgufWriter::new("bert");
    put_facts(&mut gguf, &model, &config);
    put_vocabulary(&mut gguf, model.vocabulary, &config)?;
    put_weights(&mut gguf, &SafeTensors::deserialize(model.weights)?, &config)?;
    Ok(gguf)
}

fn put_facts(gguf: &mut GgufWriter, model: &SentenceBert<'_>, config: &Config) {
    /// `LLAMA_FTYPE_MOSTLY_Q8_0` in llama.h.
    const MOSTLY_Q8_0: u32 = 7;
    /// `GGML_QNT_VERSION` in ggml.h.
    const QUANTISATION_VERSION: u32 = 2;
    /// `LLAMA_POOLING_TYPE_MEAN` in llama.h.
    const MEAN: u32 = 1;

    for (key, text) in [("general.name", model.name), ("general.license", model.licence)] {
        gguf.entry(key, Value::Text(text.to_owned()));
    }
    for (key, number) in [
        ("general.file_type", MOSTLY_Q8_0),
        ("general.quantization_version", QUANTISATION_VERSION),
        ("bert.context_length", config.max_position_embeddings),
        ("bert.embedding_length", config.hidden_size),
        ("bert.feed_forward_length", config.intermediate_size),
        ("bert.block_count", config.num_hidden_layers),
        ("bert.attention.head_count", config.num_attention_heads),
        ("bert.pooling_type", MEAN),
    ] {
        gguf.entry(key, Value::U32(number));
    }
    gguf.entry("bert.attention.layer_norm_epsilon", Value::F32(config.layer_norm_eps));
    gguf.entry("bert.attention.causal", Value::Bool(false));
}

/// Stores word pieces in llama.cpp's spelling: `▁` precedes a piece that starts a word, and the prefix `##`
/// of other pieces is removed.
fn put_vocabulary(gguf: &mut GgufWriter, vocabulary: &str, config: &Config) -> Result<(), ConvertError> {
    /// `LLAMA_TOKEN_TYPE_NORMAL` and `LLAMA_TOKEN_TYPE_CONTROL` in llama.h.
    const NORMAL: i32 = 1;
    const CONTROL: i32 = 3;

    let pieces: Vec<&str> = vocabulary.lines().collect();
    if pieces.len() != config.vocab_size as usize {
        let problem = format!("the vocabulary has {} lines instead of {}", pieces.len(), config.vocab_size);
        return Err(ConvertError::Vocabulary(problem));
    }
    let (tokens, kinds) = pieces
        .iter()
        .map(|piece| {
            if piece.starts_with('[') && piece.ends_with(']') && piece.len() > 2 {
                ((*piece).to_owned(), CONTROL)
            } else if let Some(rest) = piece.strip_prefix("##").filter(|rest| !rest.is_empty()) {
                (rest.to_owned(), NORMAL)
            } else {
                (format!("\u{2581}{piece}"), NORMAL)
            }
        })
        .unzip();
    gguf.entry("tokenizer.ggml.model", Value::Text("bert".to_owned()));
    gguf.entry("tokenizer.ggml.pre", Value::Text("default".to_owned()));
    gguf.entry("tokenizer.ggml.tokens", Value::Texts(tokens));
    gguf.entry("tokenizer.ggml.token_type", Value::Integers(kinds));
    gguf.entry("tokenizer.ggml.token_type_count", Value::U32(config.type_vocab_size));
    for (key, piece) in [
        ("bos", "[CLS]"),
        ("eos", "[SEP]"),
        ("seperator", "[SEP]"),
        ("unknown", "[UNK]"),
        ("padding", "[PAD]"),
        ("mask", "[MASK]"),
    ] {
        let id = pieces
            .iter()
            .position(|candidate| *candidate == piece)
            .ok_or_else(|| ConvertError::Vocabulary(format!("the vocabulary has no `{piece}`")))?;
        gguf.entry(&format!("tokenizer.ggml.{key}_token_id"), Value::U32(id as u32));
    }
    Ok(())
}

fn put_weights(
    gguf: &mut GgufWriter,
    weights: &SafeTensors<'_>,
    config: &Config,
) -> Result<(), ConvertError> {
    let hidden = config.hidden_size as usize;
    let inner = config.intermediate_size as usize;
    let mut put = |from: &str, to: &str, shape: &[usize], kind| {
        gguf.tensor(to, shape, kind, load(weights, from, shape, kind)?);
        Ok::<_, ConvertError>(())
    };
    for (from, to, rows, kind) in [
        ("word_embeddings", "token_embd", config.vocab_size, TensorKind::Q8_0),
        ("position_embeddings", "position_embd", config.max_position_embeddings, TensorKind::F32),
        ("token_type_embeddings", "token_types", config.type_vocab_size, TensorKind::F32),
    ] {
        let shape = [rows as usize, hidden];
        put(&format!("embeddings.{from}.weight"), &format!("{to}.weight"), &shape, kind)?;
    }
    for part in ["weight", "bias"] {
        let from = format!("embeddings.LayerNorm.{part}");
        put(&from, &format!("token_embd_norm.{part}"), &[hidden], TensorKind::F32)?;
    }
    for layer in 0..config.num_hidden_layers {
        for (from, to, rows, columns) in [
            ("attention.self.query", "attn_q", hidden, Some(hidden)),
            ("attention.self.key", "attn_k", hidden, Some(hidden)),
            ("attention.self.value", "attn_v", hidden, Some(hidden)),
            ("attention.output.dense", "attn_output", hidden, Some(hidden)),
            ("attention.output.LayerNorm", "attn_output_norm", hidden, None),
            ("intermediate.dense", "ffn_up", inner, Some(hidden)),
            ("output.dense", "ffn_down", hidden, Some(inner)),
            ("output.LayerNorm", "layer_output_norm", hidden, None),
        ] {
            let from = format!("encoder.layer.{layer}.{from}");
            let to = format!("blk.{layer}.{to}");
            let (weight, bias) = (format!("{to}.weight"), format!("{to}.bias"));
            match columns {
                Some(columns) => {
                    put(&format!("{from}.weight"), &weight, &[rows, columns], TensorKind::Q8_0)?;
                }
                None => put(&format!("{from}.weight"), &weight, &[rows], TensorKind::F32)?,
            }
            put(&format!("{from}.bias"), &bias, &[rows], TensorKind::F32)?;
        }
    }
    Ok(())
}

/// Encodes a tensor as `kind`, after checking its type and shape.
fn load(
    weights: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
    kind: TensorKind,
) -> Result<Vec<u8>, ConvertError> {
    let wrong = |problem: String| ConvertError::Tensor { name: name.to_owned(), problem };
    let tensor = weights.tensor(name).map_err(|_| wrong("is missing".to_owned()))?;
    if tensor.dtype() != Dtype::F32 {
        return Err(wrong(format!("holds {:?} instead of 32-bit floating point", tensor.dtype())));
    }
    if tensor.shape() != shape {
        return Err(wrong(format!("has the shape {:?} instead of {shape:?}", tensor.shape())));
    }
    match kind {
        TensorKind::F32 => Ok(tensor.data().to_vec()),
        TensorKind::Q8_0 => {
            // A block never spans two rows.
            if shape.last().is_none_or(|columns| columns % q8_0::BLOCK != 0) {
                return Err(wrong(format!("has rows that are not a multiple of {} long", q8_0::BLOCK)));
            }
            let numbers: Vec<f32> =
                tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Ok(q8_0::quantise(&numbers))
        }
    }
}
