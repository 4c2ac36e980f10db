//! Files and directories for this user alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a directory and those above it that are missing, for this user alone. What exists stays as it is.
///
/// # Errors
/// As [`std::fs::create_dir_all`].
pub fn create_private_dir(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Creates an empty file for this user alone, unless it exists.
///
/// # Errors
/// The file cannot be created.
pub fn create_private_file(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Takes an existing file or directory away from other users. What does not exist, is a link, or belongs to somebody else stays as
/// it is.
pub fn make_private(path: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = fs::symlink_metadata(path) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = metadata.permissions().mode();
        if !metadata.is_symlink() && mode & 0o077 != 0 {
            // Whoever may not change it does not own it.
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7700));
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn nobody_else_gets_in() {
        let place = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (directory, file) = (place.path().join("one/two"), place.path().join("one/two/file"));
        create_private_dir(&directory).unwrap();
        create_private_file(&file).unwrap();
        fs::write(&file, "kept").unwrap();
        create_private_file(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        assert_eq!([mode(directory.parent().unwrap()), mode(&directory), mode(&file)], [0o700, 0o700, 0o600]);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        make_private(&link);
        assert_eq!(mode(&file), 0o644, "the file behind a link is not this one");
        make_private(&file);
        assert_eq!(mode(&file), 0o600);
    }
}
