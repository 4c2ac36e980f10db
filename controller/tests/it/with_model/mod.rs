//! Tests with a real model.
#![cfg(feature = "llama")]

mod adapter;
mod llama;

/// One test at a time computes: what is expected of times and of caches is expected of a model that does nothing else.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
