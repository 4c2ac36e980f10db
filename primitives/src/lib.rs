//! Small types that several crates share although neither depends on the other: JSON pointers, pseudo-random numbers, the
//! reserved words of JavaScript, and files for one user alone.

#![forbid(unsafe_code)]

mod pointer;
mod private;
mod random;
mod reserved;

pub use pointer::{JsonPointer, JsonPointerError};
pub use private::{create_private_dir, create_private_file, make_private};
pub use random::SplitMix64;
pub use reserved::RESERVED;
