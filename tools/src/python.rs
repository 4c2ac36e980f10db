//! Installation of environments that are Python packages.

use crate::{Availability, EnvironmentUnavailable};
use sojourn_subprocess::ProcessTree;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Number of lines of Python's error output in an error message.
const SHOWN_LINES: usize = 5;

/// The directory for the packages of an environment: the value of `variable`, or `name` in the user's cache directory.
///
/// # Errors
/// The variable is not set, and the system has no cache directory.
pub fn install_directory(variable: &str, name: &str) -> Result<PathBuf, EnvironmentUnavailable> {
    if let Some(directory) = std::env::var_os(variable) {
        return Ok(directory.into());
    }
    match directories::ProjectDirs::from("", "", "sojourn") {
        Some(dirs) => Ok(dirs.cache_dir().join(name)),
        None => Err(EnvironmentUnavailable::Failed {
            reason: "this system has no cache directory".to_owned(),
            remedy: format!("set {variable} to a directory for the packages"),
        }),
    }
}

/// Whether the packages of an environment are in `directory`, by its own check.
pub fn availability(directory: PathBuf, is_installed: impl FnOnce(&Path) -> bool) -> Availability {
    if is_installed(&directory) {
        Availability::Installed(directory)
    } else {
        Availability::NotInstalled(directory)
    }
}

/// Runs an isolated Python with `arguments` in `directory`, and waits until it ends. Python imports nothing from the working
/// directory.
///
/// # Errors
/// Python is not installed or fails; the error contains the last lines of its error output.
pub async fn run<S: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = S>,
    directory: &Path,
) -> Result<(), EnvironmentUnavailable> {
    let started = sojourn_subprocess::python(None, arguments, directory).and_then(|mut command| {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    });
    let missing = |error: std::io::Error| EnvironmentUnavailable::Failed {
        reason: format!("cannot start python3: {error}"),
        remedy: "install Python 3.10 or later, with pip".to_owned(),
    };
    let child = started.map_err(missing)?;
    let _tree = ProcessTree::of(child.id());
    let done = child.wait_with_output().await.map_err(missing)?;
    if done.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&done.stderr);
    let mut last: Vec<&str> = printed.lines().rev().take(SHOWN_LINES).collect();
    last.reverse();
    Err(EnvironmentUnavailable::Failed {
        reason: format!("python3 failed: {}", last.join("\n")),
        remedy: "`python3 -m pip --version` must be 22.3 or later".to_owned(),
    })
}
