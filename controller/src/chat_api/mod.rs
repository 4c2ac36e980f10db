//! The server's side of OpenAI's protocol: bodies of requests become [`Request`](crate::Request)s, replies become bodies.
//! Nothing here does I/O; `sojourn models serve` is the server.
//!
//! - [`ChatRequest`] reads `POST /v1/chat/completions`, and [`ChatAnswer`] writes what it answers, whole or as chunks.
//! - [`EmbeddingRequest`] reads `POST /v1/embeddings` and writes its answer.
//! - [`models`] and [`model`] write `GET /v1/models`.
//! - [`ApiError`] is an error in the protocol's form.
//!
//! A parameter is carried out, or it is refused by name. It is accepted without effect only where it cannot change an answer
//! (`user`, `metadata`), or where it has the value that means "off".

mod answer;
mod chat;
mod embeddings;
mod error;
mod fields;
mod format;
mod messages;
mod pictures;
mod tools;

pub use answer::{ChatAnswer, Head};
pub use chat::{ChatRequest, Limits};
pub use embeddings::EmbeddingRequest;
pub use error::ApiError;

use serde_json::{Value, json};

/// Path of the list of models.
pub const MODELS_PATH: &str = "/v1/models";
/// Path for chat requests.
pub const CHAT_PATH: &str = "/v1/chat/completions";
/// Path for embeddings.
pub const EMBEDDINGS_PATH: &str = "/v1/embeddings";

/// The list of the models with these ids, which are served since `created` (seconds since 1970).
pub fn models(ids: &[&str], created: u64) -> Value {
    let data: Vec<Value> = ids.iter().map(|id| model(id, created)).collect();
    json!({"object": "list", "data": data})
}

/// One model, as [`models`] lists it.
pub fn model(id: &str, created: u64) -> Value {
    json!({"id": id, "object": "model", "created": created, "owned_by": "sojourn"})
}
