//! The controller of a Sojourn agent: one language model, always constrained.
//!
//! A [`Controller`] answers a [`Request`] with a [`Reply`]. Every request carries a [`Constraint`], a JSON schema or
//! a grammar, that is enforced while the answer is sampled, so that what the program reads is well-formed by
//! construction. Answers come several at a time ([`Request::candidates`]) from one reading of the prompt, and
//! the beginning that one prompt shares with an earlier one is not read again.
//!
//! | controller | answers come from |
//! |---|---|
//! | `llama::LlamaController` (feature `llama`) | a GGUF file, run in this process by llama.cpp |
//! | [`ServedController`] | such a model in another process, which many runs share |
//! | [`OpenAiController`] | a server with a chat endpoint |
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
//! ```

#![forbid(unsafe_code)]

mod cancel;
mod constraint;
mod controller;
mod error;
pub mod gguf;
#[cfg(feature = "llama")]
pub mod llama;
mod lora;
pub mod models;
pub mod openai;
mod random_answer;
mod recorded;
mod reply;
mod request;
pub mod served;

pub use cancel::Cancel;
pub use constraint::{CheckError, Constraint, UnsupportedSchema};
pub use controller::{Controller, Embedder, EmbedderInfo, ModelInfo};
pub use error::ControllerError;
pub use lora::Lora;
pub use openai::OpenAiController;
pub use recorded::{RecordedController, Recording};
pub use reply::{Completion, Finish, Reply, Timing, Usage};
pub use request::{Message, Part, Priority, Request, Role, Sampling};
pub use served::ServedController;
