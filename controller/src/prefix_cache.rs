//! The directory of evaluated prompt prefixes: who may read it, and how it is emptied.
//!
//! A prefix has the tokens of a prompt, which are its text. So the directory is its owner's alone, and forgetting a text empties it.

use std::fs;
use std::io;
use std::path::Path;

/// Extensions of the cache's files: a state, its index entry, and a file that is being written.
pub(crate) const STATE: &str = "state";
pub(crate) const INDEX: &str = "json";
pub(crate) const TEMPORARY: &str = "tmp";
/// Length of a model's fingerprint, with which the name of its directory begins, in hexadecimal digits.
pub(crate) const FINGERPRINT: usize = 24;
/// Length of the hash with which the name of a file begins, in hexadecimal digits.
pub(crate) const FILE_HASH: usize = 32;

/// What [`clear`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cleared {
    /// Number of files.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
}

/// Removes every saved prefix of every model below `root`, and nothing else. Without the directory there is nothing to remove.
///
/// A process that has a model loaded keeps prefixes in its memory, and may save those again.
///
/// # Errors
/// A directory cannot be read, or a file cannot be removed.
pub fn clear(root: &Path) -> io::Result<Cleared> {
    let mut cleared = Cleared::default();
    for model in entries(root)? {
        let name = model.file_name();
        // A link is no directory here, so that nothing elsewhere is removed.
        if !model.file_type()?.is_dir() || !name.to_str().is_some_and(|name| is_hash(name, FINGERPRINT, '-'))
        {
            continue;
        }
        for file in entries(&model.path())? {
            let path = file.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let is_own = matches!(extension, Some(STATE | INDEX | TEMPORARY))
                && file.file_name().to_str().is_some_and(|name| is_hash(name, FILE_HASH, '.'));
            if !is_own {
                continue;
            }
            let bytes = file.metadata().as_ref().map_or(0, fs::Metadata::len);
            match fs::remove_file(&path) {
                Ok(()) => {
                    cleared.files += 1;
                    cleared.bytes += bytes;
                }
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(cleared)
}

/// Whether a name is a hash of this many hexadecimal digits, then `end` and anything.
fn is_hash(name: &str, digits: usize, end: char) -> bool {
    name.split_once(end)
        .is_some_and(|(hash, _)| hash.len() == digits && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Creates the directory of a model below `root`. Both are their owner's alone from then on, with the files that are in it.
#[cfg_attr(not(feature = "llama"), allow(dead_code, reason = "only models in this process save prefixes"))]
pub(crate) fn create(root: &Path, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(root)?;
    restrict(root)?;
    fs::create_dir_all(directory)?;
    restrict(directory)
}

/// Takes from everybody but the owner what they may do with a directory and the files in it, if it exists.
#[cfg_attr(not(feature = "llama"), allow(dead_code, reason = "only models in this process save prefixes"))]
pub(crate) fn restrict_all(directory: &Path) -> io::Result<()> {
    for file in entries(directory)? {
        if file.file_type()?.is_file() {
            restrict(&file.path())?;
        }
    }
    if directory.is_dir() { restrict(directory) } else { Ok(()) }
}

/// Makes a directory or a file its owner's alone.
#[cfg(unix)]
pub(crate) fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_mode(if path.is_dir() { 0o700 } else { 0o600 });
    fs::set_permissions(path, permissions)
}

/// Other systems keep a user's cache from other users by where it is.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
pub(crate) fn restrict(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "0123456789abcdef01234567-0.1.0";
    const PREFIX: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn clearing_removes_every_prefix_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("prefixes");
        assert_eq!(clear(&root).unwrap(), Cleared::default(), "there is no cache yet");
        let model = root.join(MODEL);
        create(&root, &model).unwrap();
        let own = ["state", "json", "state.4711.tmp"].map(|end| model.join(format!("{PREFIX}.{end}")));
        let other = root.join("notes");
        fs::create_dir(&other).unwrap();
        let others = [
            root.join("notes.json"),
            model.join("notes.json"),
            model.join(format!("{PREFIX}.txt")),
            other.join(format!("{PREFIX}.json")),
        ];
        for file in own.iter().chain(&others) {
            fs::write(file, "text").unwrap();
        }
        assert_eq!(clear(&root).unwrap(), Cleared { files: 3, bytes: 12 });
        assert!(own.iter().all(|file| !file.exists()) && others.iter().all(|file| file.exists()));
    }

    #[cfg(unix)]
    #[test]
    fn prefixes_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("prefixes");
        let model = root.join(MODEL);
        // As an earlier version left them.
        fs::create_dir_all(&model).unwrap();
        let file = model.join(format!("{PREFIX}.json"));
        fs::write(&file, "{}").unwrap();
        for path in [&root, &model, &file] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        create(&root, &model).unwrap();
        restrict_all(&model).unwrap();
        assert_eq!([mode(&root), mode(&model), mode(&file)], [0o700, 0o700, 0o600]);
        restrict_all(&place.path().join("missing")).unwrap();
    }
}
