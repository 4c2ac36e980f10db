//! The integration tests of `sojourn-tools`, in one program so that it is linked once.

mod builtins;
mod common;
mod functions;
mod mcp_faults;
mod process_faults;
mod toolbox;
mod with_network;
mod worlds;
