//! The integration tests of `sojourn-controller`, in one program so that it is linked once.

mod gguf;
mod models;
mod openai;
mod schemas;
mod with_model;
