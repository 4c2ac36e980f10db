//! Tests with a real model.

#[cfg(feature = "llama")]
mod goals;
mod hear;
mod see;
mod signs;
#[cfg(feature = "llama")]
mod serve;
