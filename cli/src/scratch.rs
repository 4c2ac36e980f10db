//! Temporary homes. They hold records, states and prompts, so only their owner may enter them, and none is left for long.
//!
//! The process of a temporary home holds a lock beside it. One whose lock is free was left by a process that was killed, and is
//! deleted when the next one is made.

use rustix::process::geteuid;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Beginning of the name of each directory.
const PREFIX: &str = "sojourn-scratch-";
/// Name of the file that the process has locked.
const LOCK: &str = "lock";
/// Age from which a directory without a lock file is deleted. A younger one may be about to get its file.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);

/// A directory for a temporary home, deleted when it is dropped.
pub struct Scratch {
    home: PathBuf,
    /// Deleted before the lock is free.
    _directory: TempDir,
    _lock: File,
}

impl Scratch {
    /// A directory among the system's temporary ones.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create() -> io::Result<Self> {
        Self::create_in(&std::env::temp_dir())
    }

    /// A directory in `parent`. Deletes those there that killed processes of this user have left.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create_in(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let private = Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(parent)?;
        // The file gets its name once it is locked, so that no sweep finds it unlocked.
        let draft = directory.path().join("lock.new");
        let lock = File::create(&draft)?;
        lock.lock()?;
        fs::rename(&draft, directory.path().join(LOCK))?;
        let home = directory.path().join("home");
        fs::create_dir(&home)?;
        Ok(Self { home, _directory: directory, _lock: lock })
    }

    /// The directory of the home.
    pub fn path(&self) -> &Path {
        &self.home
    }
}

/// Deletes the directories below `parent` that have lost their process.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        // Other users' directories, and links to somewhere else, are not ours to delete.
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if !about.is_dir() || about.uid() != geteuid().as_raw() {
            continue;
        }
        let is_left = if let Ok(lock) = File::open(path.join(LOCK)) {
            lock.try_lock().is_ok()
        } else {
            let age = about.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            age.is_some_and(|age| age > ABANDONED_AFTER)
        };
        if is_left {
            // What cannot be deleted now is tried again.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_home_is_private_and_is_swept_once_its_process_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let left = parent.path().join("sojourn-scratch-left");
        fs::create_dir_all(left.join("home")).unwrap();
        File::create(left.join(LOCK)).unwrap();
        let young = parent.path().join("sojourn-scratch-young");
        fs::create_dir(&young).unwrap();
        let other = parent.path().join("another-program");
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, parent.path().join("sojourn-scratch-link")).unwrap();

        let scratch = Scratch::create_in(parent.path()).unwrap();
        let directory = scratch.path().parent().unwrap();
        assert_eq!(fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(!left.exists() && young.exists() && other.exists());

        let second = Scratch::create_in(parent.path()).unwrap();
        assert!(scratch.path().exists(), "its process runs");
        let gone = scratch.path().to_owned();
        drop(scratch);
        assert!(!gone.exists() && second.path().exists());
    }
}
