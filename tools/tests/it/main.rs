//! The integration tests of `sojourn-tools`, in one program so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod builtins;
mod common;
mod functions;
mod mcp_faults;
mod mcp_oddities;
mod media;
mod outside;
mod process_faults;
mod toolbox;
mod urls;
mod wasm_limits;
mod with_network;
mod worlds;
