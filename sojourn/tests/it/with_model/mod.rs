//! Tests with a real model.
#![cfg(feature = "llama")]

mod serve;
