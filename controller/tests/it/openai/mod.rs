//! The endpoint controller against a real server that behaves and misbehaves on purpose.

// What helpers of tests may do is what tests may do.
#![allow(clippy::unwrap_used)]

mod asking;
mod faults;
mod limits;
mod server;
mod streams;
