use crate::{completing, output};
use anyhow::Result;
use clap_complete::Shell;

/// Prints what a shell needs to ask this program for completions.
pub fn completions(shell: Shell) -> Result<()> {
    Ok(output::verbatim(&completing::script(&shell.to_string())?)?)
}
