//! Small types that several crates share although neither depends on the other: JSON pointers, pseudo-random numbers, the
//! reserved words of JavaScript.

#![forbid(unsafe_code)]

mod pointer;
mod random;
mod reserved;

pub use pointer::{JsonPointer, JsonPointerError};
pub use random::SplitMix64;
pub use reserved::RESERVED;
