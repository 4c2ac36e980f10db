//! Starts cargo from a chore.

use std::process::Command;

/// Cargo, as a person would start it. Inside of `cargo xtask` there are variables that describe the package `xtask`; a build script
/// that looks at one of them (that of `ring` does) would run again, and all that depends on it be compiled again.
pub fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
