//! Writes and checks the documentation. The work is done by tests of the `sojourn` binary, which know the command line and the types
//! of the agent file, so that the other chores do not compile them.

use crate::cargo;
use anyhow::{Context as _, Result, ensure};

/// Environment variable; `write` makes the tests write the generated pages.
const VARIABLE: &str = "SOJOURN_DOCS";

/// Whether the chore writes the generated pages or only compares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Write the generated pages, then check all pages.
    Write,
    /// Only check.
    Check,
}

/// Writes the generated pages of the book if asked to, and checks all pages of the repository.
pub fn run(mode: Mode) -> Result<()> {
    if mode == Mode::Write {
        test(&["--test", "it", "docs::pages::generated"], "write")?;
    }
    test(&["--test", "it", "--bin", "sojourn-bench", "docs::"], "check")
}

/// Runs tests of the whole workspace, because other selections would compile packages with other features.
fn test(arguments: &[&str], value: &str) -> Result<()> {
    let mut command = cargo::command();
    command.args(["test", "--quiet", "--workspace"]).args(arguments).env(VARIABLE, value);
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "the documentation has faults; the tests above list them");
    Ok(())
}
