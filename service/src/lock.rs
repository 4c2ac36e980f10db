//! One daemon for a home.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

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
    /// Takes the lock of a home without waiting.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(home: &Path) -> Result<Self, LockError> {
        let path = home.join("locks").join("daemon.lock");
        let io = |source| LockError::Io { path: path.display().to_string(), source };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(io)?;
        }
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Taken { process: process(&mut file) }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(io)?;
        Ok(Self(file))
    }

    /// The process of the daemon that serves a home; `None` where none does.
    pub fn holder(home: &Path) -> Option<u32> {
        let path = home.join("locks").join("daemon.lock");
        let mut file = File::options().read(true).write(true).open(path).ok()?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => process(&mut file),
            _ => None,
        }
    }
}

fn process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
