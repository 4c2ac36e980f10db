//! Temporary profiles of browsers. A profile never outlives its browser, nor its browser the process that started it.
//!
//! The owner of a profile holds a lock on a file in it. A profile whose lock is free has lost its owner: its processes are
//! killed and it is deleted, at the latest when the next browser starts.

use crate::flags::preferences;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// Beginning of the name of each profile's directory.
const PREFIX: &str = "sojourn-browser-";
/// Name of the file that the owner has locked.
const LOCK: &str = "sojourn.lock";
/// Age from which a profile without a lock file is deleted. A younger one may be about to get its file.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);
/// Time limit for killed processes to end. They end at once, unless the kernel waits for a disk.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks at processes that were killed.
const PAUSE: Duration = Duration::from_millis(5);

/// The profile of one browser. Dropping it kills every process that uses it, and deletes it.
pub(crate) struct Profile {
    directory: TempDir,
    /// Locked for as long as the profile has an owner.
    _lock: File,
}

impl Profile {
    /// Creates a profile, and deletes those that have lost their owner.
    pub fn create() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent)?;
        // The file gets its name once it is locked, so that no sweep finds it unlocked.
        let draft = directory.path().join("sojourn.lock.new");
        let lock = File::create(&draft)?;
        lock.lock()?;
        fs::rename(&draft, directory.path().join(LOCK))?;
        for (file, content) in preferences() {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap_or(directory.path()))?;
            fs::write(path, content.to_string())?;
        }
        Ok(Self { directory, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        delete(self.directory.path());
    }
}

/// Deletes the profiles below `parent` that have lost their owner.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        // Other users' directories, and links to somewhere else, are not ours to delete.
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if !about.is_dir() || about.uid() != geteuid().as_raw() {
            continue;
        }
        match File::open(path.join(LOCK)) {
            Ok(lock) if lock.try_lock().is_ok() => delete(&path),
            Ok(_) => {}
            Err(_) => {
                let age = about.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
                if age.is_some_and(|age| age > ABANDONED_AFTER) && processes_of(&path).is_empty() {
                    delete(&path);
                }
            }
        }
    }
}

/// Kills the processes of a profile, and deletes it.
fn delete(profile: &Path) {
    let begun = Instant::now();
    loop {
        let running = processes_of(profile);
        for process in &running {
            // It may have ended since.
            let _ = kill_process(*process, Signal::KILL);
        }
        let deleted = running.is_empty() && {
            let _ = fs::remove_dir_all(profile);
            !profile.exists()
        };
        if deleted || begun.elapsed() > KILL_TIMEOUT {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The running processes that have the path of `profile` among their arguments.
pub(crate) fn processes_of(profile: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let wanted = profile.as_os_str().as_bytes();
    let uses = |process: &PathBuf| {
        fs::read(process.join("cmdline"))
            .is_ok_and(|arguments| arguments.windows(wanted.len()).any(|window| window == wanted))
    };
    let found = processes.flatten().map(|entry| entry.path()).filter(|process| {
        let is_process =
            process.file_name().is_some_and(|name| name.as_bytes().iter().all(u8::is_ascii_digit));
        is_process && uses(process)
    });
    let id = |process: PathBuf| Pid::from_raw(process.file_name()?.to_str()?.parse().ok()?);
    found.filter_map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn profiles_without_an_owner_are_swept_and_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            let lock = File::create(path.join(LOCK)).unwrap();
            (path, lock)
        };
        let (orphan, _) = make("sojourn-browser-orphan");
        // A program that still uses it, as a browser would whose owner was killed.
        let script = "trap '' HUP TERM; while :; do sleep 1; done";
        let argument = format!("--user-data-dir={}", orphan.display());
        let mut left = Command::new("sh").args(["-c", script, &argument]).spawn().unwrap();
        let (owned, lock) = make("sojourn-browser-owned");
        lock.lock().unwrap();
        let (other, _) = make("another-program");
        let young = parent.path().join("sojourn-browser-young");
        fs::create_dir(&young).unwrap();
        let target = parent.path().join("target");
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, parent.path().join("sojourn-browser-link")).unwrap();
        sweep(parent.path());
        assert!(!orphan.exists() && owned.exists() && other.exists() && young.exists() && target.exists());
        assert!(!left.wait().unwrap().success(), "the program was killed");
        drop(lock);
        sweep(parent.path());
        assert!(!owned.exists());
    }
}
