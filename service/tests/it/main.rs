//! The integration tests of `sojourn-service`, in one program so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod daemon_lock;
mod messages;
