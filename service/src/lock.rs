//! One daemon for a home.

use sojourn_primitives::create_private_dir;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Attempts to take the lock, which [`DaemonLock::holder`] shares for a moment.
const ATTEMPTS: u32 = 5;
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// The right to be the daemon of a home. The operating system releases it when the process ends.
#[derive(Debug)]
pub struct DaemonLock(#[allow(dead_code, reason = "held, not read")] File);

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon serves the home.
    #[error("a daemon serves this home already{}", .process.map(|id| format!(": process {id}")).unwrap_or_default())]
    Taken {
        /// Its process id, where it has written it down.
        process: Option<u32>,
    },
    /// The file cannot be written.
    #[error("cannot write `{path}`: {source}")]
    Io {
        /// The lock's file.
        path: String,
        /// The system's error.
        source: io::Error,
    },
}

impl DaemonLock {
    /// Takes the lock of a home, retrying for 40 ms.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(home: &Path) -> Result<Self, LockError> {
        let path = path(home);
        let io = |source| LockError::Io { path: path.display().to_string(), source };
        if let Some(directory) = path.parent() {
            create_private_dir(directory).map_err(io)?;
        }
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(io)?;
        for attempt in 1..=ATTEMPTS {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Taken { process: process(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(io)?;
        Ok(Self(file))
    }

    /// The process of the daemon that serves a home; `None` where none does. Any number of processes may ask at once.
    pub fn holder(home: &Path) -> Option<u32> {
        let mut file = File::open(path(home)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => process(&mut file),
            _ => None,
        }
    }
}

/// The lock files of runs end in `.lock`, and a run may be called `daemon`.
fn path(home: &Path) -> PathBuf {
    home.join("locks").join("daemon.up")
}

fn process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_asks_for_the_daemon_is_not_taken_for_it() {
        let home = tempfile::tempdir().unwrap();
        drop(DaemonLock::take(home.path()).unwrap());
        assert_eq!(DaemonLock::holder(home.path()), None, "its id is still in the file");
        // Another process asks at this moment.
        let asking = File::open(path(home.path())).unwrap();
        asking.lock_shared().unwrap();
        assert_eq!(DaemonLock::holder(home.path()), None);
        drop(asking);
        let _daemon = DaemonLock::take(home.path()).unwrap();
        assert_eq!(DaemonLock::holder(home.path()), Some(std::process::id()));
        assert!(matches!(DaemonLock::take(home.path()), Err(LockError::Taken { process: Some(_) })));
    }
}
