//! The integration tests of `sojourn-sandbox`, in one program so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod arbitrary;
mod bindings;
mod budgets;
mod cache;
mod common;
mod hostile;
mod isolation;
mod limits;
mod live_view;
mod messages;
mod modules;
mod prebuilt;
mod reflex;
mod reflex_warm;
