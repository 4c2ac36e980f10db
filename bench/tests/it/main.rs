//! The integration tests of `sojourn-bench`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod crafter;
mod words;
