//! The integration tests of `sojourn-controller`, in one program so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod chat_api;
mod gguf;
mod models;
mod openai;
mod schemas;
mod seeing;
mod with_model;
