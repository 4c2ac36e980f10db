use crate::output;
use anyhow::Result;
use clap_complete::Shell;

/// Prints what a shell needs to complete this program's arguments.
pub fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::command(), "sojourn", &mut script);
    Ok(output::verbatim(&String::from_utf8_lossy(&script))?)
}
