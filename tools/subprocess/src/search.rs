//! Looking programs up in `PATH`.

use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The absolute directories of `PATH`, in their order, as a value for `PATH`. Empty and relative entries are left out: they name
/// the working directory.
pub fn search_path() -> OsString {
    absolute(&std::env::var_os("PATH").unwrap_or_default())
}

fn absolute(path: &OsStr) -> OsString {
    let directories = std::env::split_paths(path).filter(|directory| directory.is_absolute());
    std::env::join_paths(directories).unwrap_or_default()
}

/// The path of the program `name`: the first executable file of that name in [`search_path`]. A name with a slash is a path,
/// relative to `directory`.
///
/// # Errors
/// [`ErrorKind::NotFound`] if there is no such file, [`ErrorKind::PermissionDenied`] if it cannot be executed.
pub fn find(name: &OsStr, directory: &Path) -> Result<PathBuf> {
    find_in(name, directory, &search_path())
}

fn find_in(name: &OsStr, directory: &Path, path: &OsStr) -> Result<PathBuf> {
    let as_path = Path::new(name);
    if as_path.components().count() > 1 || as_path.is_absolute() {
        let program = std::path::absolute(directory.join(as_path))?;
        return if is_executable(&program)? {
            Ok(program)
        } else {
            Err(Error::new(ErrorKind::PermissionDenied, "the file is not executable"))
        };
    }
    std::env::split_paths(path)
        .map(|directory| directory.join(as_path))
        .find(|program| !name.is_empty() && is_executable(program).unwrap_or(false))
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such program in the directories of PATH"))
}

fn is_executable(program: &Path) -> Result<bool> {
    let about = std::fs::metadata(program)?;
    Ok(about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_working_directory_is_not_found() {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("tool");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let name = OsStr::new("tool");
        let relative = |path: &str| find_in(name, place.path(), &absolute(OsStr::new(path)));
        for path in [".", "", ":", "./", "tools/bin", "..:."] {
            assert_eq!(relative(path).unwrap_err().kind(), ErrorKind::NotFound, "{path:?}");
        }
        let listed = format!(".:{}:/bin", place.path().display());
        assert_eq!(relative(&listed).unwrap(), program);
        // A path is the caller's choice.
        assert_eq!(
            find_in(OsStr::new("./tool"), place.path(), OsStr::new("")).unwrap().canonicalize().unwrap(),
            program.canonicalize().unwrap()
        );
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("text"), "").unwrap();
        let kind =
            |name: &str| find_in(OsStr::new(name), place.path(), OsStr::new("/bin")).unwrap_err().kind();
        assert_eq!(kind("./text"), ErrorKind::PermissionDenied);
        assert_eq!(kind("./nothing"), ErrorKind::NotFound);
        assert_eq!(kind(""), ErrorKind::NotFound);
    }
}
