//! The integration tests of `sojourn-skills`, in one program so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod common;
mod environments;
mod exchange;
mod grammar;
mod library;
mod lifecycle;
mod repairs;
mod sandbox;
mod shortlist;
