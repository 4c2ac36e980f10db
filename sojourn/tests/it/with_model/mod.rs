//! Tests with a real model.

mod see;
#[cfg(feature = "llama")]
mod serve;
