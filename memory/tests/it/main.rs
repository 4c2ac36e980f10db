//! The integration tests of `sojourn-memory`, in one program so that it is linked once.

mod carry;
mod common;
mod crash;
mod damage;
mod index;
mod keeping;
mod log;
mod machine;
mod memories;
#[cfg(feature = "qdrant")]
mod qdrant;
