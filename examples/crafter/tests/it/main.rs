//! The integration tests of `sojourn-crafter`, in one program so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod common;
mod documentation;
mod golden;
mod primitives;
mod random_policy;
mod scripted;
mod snapshots;
mod with_network;
