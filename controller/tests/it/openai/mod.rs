//! The endpoint controller against a real HTTP server with configurable faults.

// Test helpers may use what tests may use.
#![allow(clippy::unwrap_used)]

mod asking;
mod faults;
mod limits;
mod server;
mod shapes;
mod streams;
