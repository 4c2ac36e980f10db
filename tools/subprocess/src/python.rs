//! Python, isolated from the directory it is started in and from variables that change what it runs.

use crate::command::build;
use crate::find;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Names of the Python executable, in order of preference.
pub const PYTHONS: [&str; 2] = ["python3", "python"];
/// Variables that pip and its downloads need: the user's package index, proxy, certificates and directories. Variables that load
/// code into a process (`PYTHONPATH`, `PYTHONSTARTUP`, `LD_PRELOAD`, …) are not among them.
const VISIBLE: [&str; 22] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_DATA_HOME",
    "NETRC",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// A command for an isolated Python (`-I`): no module is imported from the working directory, from `PYTHONPATH` or from the
/// user's site directory. It runs in `directory`, which should hold nothing but the caller's own files. `program` is a path, or
/// `None` for the first of [`PYTHONS`] in `PATH`. Variables named `PIP_…` are passed on.
///
/// # Errors
/// When there is no Python.
pub fn python<S: AsRef<OsStr>>(
    program: Option<&Path>,
    arguments: impl IntoIterator<Item = S>,
    directory: &Path,
) -> Result<Command> {
    let program = match program {
        Some(program) => find(program.as_os_str(), Path::new(""))?,
        None => first(directory)?,
    };
    let isolated = std::iter::once(OsString::from("-I"));
    let arguments =
        isolated.chain(arguments.into_iter().map(|argument| argument.as_ref().to_owned())).collect();
    let visible = std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| VISIBLE.contains(&name) || name.starts_with("PIP_"))
    });
    Ok(build(&program, arguments, visible, directory))
}

fn first(directory: &Path) -> Result<PathBuf> {
    let mut missing = std::io::Error::from(ErrorKind::NotFound);
    for name in PYTHONS {
        match find(OsStr::new(name), directory) {
            Ok(program) => return Ok(program),
            Err(error) => missing = error,
        }
    }
    Err(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_module_of_the_working_directory_is_not_run_as_pip() {
        let place = tempfile::tempdir().unwrap();
        for module in ["pip.py", "venv.py", "json.py", "sitecustomize.py", "usercustomize.py"] {
            std::fs::write(place.path().join(module), "open('ran', 'w').close()").unwrap();
        }
        for arguments in [["-m", "pip", "--version"], ["-m", "venv", "--help"], ["-m", "json.tool", "--help"]]
        {
            let output = python(None, arguments, place.path()).unwrap().output().await.unwrap();
            assert!(!place.path().join("ran").exists(), "{arguments:?}: {output:?}");
        }
        let shown = "import sys; print(sys.flags.isolated)";
        let output = python(None, ["-c", shown], place.path()).unwrap().output().await.unwrap();
        assert_eq!(output.stdout, b"1\n");
    }
}
