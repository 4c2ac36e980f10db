//! The controller of a Sojourn agent: one language model whose every answer is constrained.
//!
//! A [`Controller`] answers a [`Request`] with a [`Reply`]. Every request carries a [`Constraint`], a JSON
//! schema or a grammar, which sampling enforces. The program therefore never parses free text. One request
//! can ask for several answers ([`Request::candidates`]); the prompt is evaluated once for all of them, and
//! prefixes that it shares with earlier prompts come from a cache.
//!
//! | controller | source of answers |
//! |---|---|
//! | `llama::LlamaController` (feature `llama`) | a GGUF model, run in this process by llama.cpp |
//! | [`ServedController`] | such a model in another process, shared by many runs |
//! | [`OpenAiController`] | a server with an OpenAI-compatible chat endpoint |
//! | [`RecordedController`] | a log, for replay and tests |
//!
//! ```
//! use sojourn_controller::{Constraint, Message, Request, Sampling};
//!
//! let mut request = Request::new(
//!     vec![Message::system("You steer a player in a survival game."), Message::user("Night falls. What now?")],
//!     Constraint::choice(["build_shelter", "keep_mining"]),
//!     16,
//! );
//! request.sampling = Sampling::varied(0.8, 42);
//! request.candidates = 4;
//!
//! // Sampling enforces the constraint. Text from elsewhere can be checked against it.
//! assert!(request.constraint.check("\"keep_mining\"").is_ok());
//! assert!(request.constraint.check("Let us keep mining!").is_err());
//! ```

#![forbid(unsafe_code)]

mod cancel;
pub mod chat_api;
mod client;
mod constraint;
mod controller;
mod error;
pub mod gguf;
mod lens;
#[cfg(feature = "llama")]
pub mod llama;
mod lora;
pub mod models;
pub mod openai;
pub mod prefix_cache;
mod random_answer;
mod recorded;
mod reply;
mod request;
pub mod served;

pub use cancel::Cancel;
pub use constraint::{CheckError, Constraint, UnsupportedSchema};
pub use controller::{Controller, Embedder, EmbedderInfo, Embeddings, ModelInfo, Piece, Pieces};
pub use error::ControllerError;
pub use lens::{Lens, Pixels};
pub use lora::Lora;
pub use openai::OpenAiController;
pub use recorded::{RecordedController, Recording};
pub use reply::{Completion, Finish, PictureTokens, Reply, Timing, Usage};
pub use request::{Message, Part, PictureRef, Priority, Request, Role, Sampling};
pub use served::ServedController;
