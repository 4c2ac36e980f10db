//! Installation of environments that are Python packages.

use crate::{Availability, EnvironmentUnavailable};
use sojourn_subprocess::ProcessTree;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Number of lines of Python's error output in an error message.
const SHOWN_LINES: usize = 5;

/// The Python packages of an environment: where they are, and what to say where they are missing.
#[derive(Debug, Clone, Copy)]
pub struct Packages {
    /// Environment variable that names their directory.
    pub variable: &'static str,
    /// Name of their directory in the user's cache directory, where the variable is not set.
    pub name: &'static str,
    /// Whether they are in a directory.
    pub is_installed: fn(&Path) -> bool,
    /// What is missing where they are not: "Gymnasium is not installed".
    pub missing: &'static str,
    /// What to do then.
    pub remedy: &'static str,
}

impl Packages {
    /// Their directory, absolute because pip runs in another one, whether or not they are installed.
    ///
    /// # Errors
    /// The variable is not set, and the system has no cache directory.
    pub fn directory(&self) -> Result<PathBuf, EnvironmentUnavailable> {
        if let Some(directory) = std::env::var_os(self.variable) {
            let directory = PathBuf::from(directory);
            return Ok(std::path::absolute(&directory).unwrap_or(directory));
        }
        match directories::ProjectDirs::from("", "", "sojourn") {
            Some(dirs) => Ok(dirs.cache_dir().join(self.name)),
            None => Err(EnvironmentUnavailable::Failed {
                reason: "this system has no cache directory".to_owned(),
                remedy: format!("set {} to a directory for the packages", self.variable),
            }),
        }
    }

    /// Whether they are installed, and in which directory.
    ///
    /// # Errors
    /// As [`directory`](Self::directory).
    pub fn availability(&self) -> Result<Availability, EnvironmentUnavailable> {
        let directory = self.directory()?;
        Ok(if (self.is_installed)(&directory) {
            Availability::Installed(directory)
        } else {
            Availability::NotInstalled(directory)
        })
    }

    /// The directory in which they are installed.
    ///
    /// # Errors
    /// As [`directory`](Self::directory), or they are not installed.
    pub fn installed(&self) -> Result<PathBuf, EnvironmentUnavailable> {
        match self.availability()? {
            Availability::Installed(directory) => Ok(directory),
            _ => Err(EnvironmentUnavailable::NotInstalled {
                missing: self.missing.to_owned(),
                remedy: self.remedy.to_owned(),
            }),
        }
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
