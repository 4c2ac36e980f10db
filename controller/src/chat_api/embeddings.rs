use super::ApiError;
use super::fields::Fields;
use crate::{EmbedderInfo, Embeddings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Limit on the texts of one request.
const MAX_INPUTS: usize = 2048;

/// A request of `POST /v1/embeddings`.
#[derive(Debug, PartialEq, Eq)]
pub struct EmbeddingRequest {
    /// The model that the client asks for.
    pub model: String,
    /// The texts, 1 to 2048, none of them empty.
    pub texts: Vec<String>,
    /// Whether vectors are sent as base64 of little-endian numbers of 32 bits, instead of lists.
    base64: bool,
    /// The number of dimensions that the client asks for.
    dimensions: Option<u32>,
}

impl EmbeddingRequest {
    /// Reads a body of JSON.
    ///
    /// # Errors
    /// The body is no such request, or has a parameter that this server does not carry out.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let body = serde_json::from_slice(body)
            .map_err(|error| ApiError::new(400, None, format!("the body is not JSON: {error}")))?;
        let mut body = Fields::of(body, "")?;
        let model = body.needed_text("model")?;
        let inputs = match body.take("input") {
            None => return Err(body.invalid("input", "is missing")),
            Some(Value::Array(inputs)) => inputs,
            Some(input) => vec![input],
        };
        if inputs.is_empty() || inputs.len() > MAX_INPUTS {
            return Err(body.invalid("input", &format!("must have 1 to {MAX_INPUTS} texts")));
        }
        let mut texts = Vec::with_capacity(inputs.len());
        for input in inputs {
            match input {
                Value::String(text) if !text.is_empty() => texts.push(text),
                Value::String(_) => return Err(body.invalid("input", "has an empty text")),
                Value::Number(_) | Value::Array(_) => {
                    return Err(body.invalid("input", "must be text: this server takes no numbers of tokens"));
                }
                _ => return Err(body.invalid("input", "must be a text or a list of texts")),
            }
        }
        let encoding = body.text("encoding_format")?;
        let base64 = match encoding.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(_) => return Err(body.invalid("encoding_format", "must be `float` or `base64`")),
        };
        let dimensions = body.integer("dimensions", 1..=u32::MAX)?;
        body.ignore(&["user"]);
        body.end()?;
        Ok(Self { model, texts, base64, dimensions })
    }

    /// Checks that the model has vectors of the requested length.
    ///
    /// # Errors
    /// It has others.
    pub fn check(&self, model: &EmbedderInfo) -> Result<(), ApiError> {
        match self.dimensions {
            Some(dimensions) if dimensions != model.dimensions => {
                let fault = format!("must be {}: the model has no shorter vectors", model.dimensions);
                Err(ApiError::invalid("dimensions", &fault))
            }
            _ => Ok(()),
        }
    }

    /// The response with these vectors of the model `id`.
    ///
    /// # Errors
    /// A text is longer than the model reads, so that its vector is not that of the whole text.
    pub fn answer(&self, id: &str, model: &EmbedderInfo, embedded: &Embeddings) -> Result<Value, ApiError> {
        let lengths = embedded.tokens.as_deref().unwrap_or_default();
        if let Some((index, length)) =
            lengths.iter().enumerate().find(|(_, length)| **length > model.max_tokens)
        {
            let fault = format!("has {length} tokens, and the model reads {}; split it", model.max_tokens);
            let error = ApiError::invalid(format!("input[{index}]"), &fault);
            return Err(ApiError { code: Some("context_length_exceeded"), ..error });
        }
        let data: Vec<Value> = (embedded.vectors.iter().enumerate())
            .map(|(index, vector)| {
                let vector = if self.base64 { encoded(vector).into() } else { json!(vector) };
                json!({"object": "embedding", "index": index, "embedding": vector})
            })
            .collect();
        let tokens = lengths.iter().fold(0_u32, |sum, length| sum.saturating_add(*length));
        let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        Ok(json!({"object": "list", "data": data, "model": id, "usage": usage}))
    }
}

fn encoded(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
