//! A command with few environment variables.

use crate::{find, reaper, search_path};
use std::ffi::{OsStr, OsString};
use std::io::Result;
use std::path::Path;
use tokio::process::Command;

/// Environment variables that every child process sees.
const VISIBLE: [&str; 3] = ["HOME", "LANG", "TMPDIR"];

/// A command for `line` (program and arguments) that runs in `directory`, sees HOME, LANG, TMPDIR, the absolute directories of
/// PATH and the variables `env`, and leads its own process group. A program given as a relative path is resolved against
/// `directory`. Once started, wrap its process id in a [`ProcessTree`](crate::ProcessTree).
///
/// # Errors
/// When the program cannot be found or executed.
pub fn command(line: &[String], env: &[String], directory: &Path) -> Result<Command> {
    let program = find(OsStr::new(line.first().map_or("", String::as_str)), directory)?;
    let listed = VISIBLE.into_iter().chain(env.iter().map(String::as_str));
    let visible = listed.filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let arguments = line.iter().skip(1).map(OsString::from).collect();
    Ok(build(&program, arguments, visible, directory))
}

/// A command for a program that was found, with these variables and PATH only.
pub(crate) fn build(
    program: &Path,
    arguments: Vec<OsString>,
    variables: impl Iterator<Item = (OsString, OsString)>,
    directory: &Path,
) -> Command {
    let mut command = reaper::wrap(program, arguments);
    command.env("PATH", search_path()).envs(variables);
    if directory.is_dir() {
        command.current_dir(directory);
    }
    command
}
