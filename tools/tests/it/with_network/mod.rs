//! Tests of what is fetched from package registries first.

mod mcp_servers;
mod wasm;
