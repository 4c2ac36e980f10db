//! The integration tests of `sojourn-controller`, in one program so that it is linked once.

mod adapter;
mod gguf;
mod llama;
mod models;
mod openai;
mod schemas;
