//! The integration tests of `sojourn-memory`, in one program so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod carry;
mod common;
mod copying;
mod crash;
mod damage;
mod fencing;
mod heads;
mod imports;
mod index;
mod keeping;
mod log;
mod machine;
mod memories;
mod protocol;
#[cfg(feature = "qdrant")]
mod qdrant;
mod unattended;
mod words;
