//! Tests with a real model.

#[cfg(feature = "llama")]
mod goals;
mod hear;
mod planted;
mod see;
#[cfg(feature = "llama")]
mod serve;
mod signs;
