use super::RunId;
use crate::Error;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The right to write a run, kept by the kernel for an open file: it ends with the process, however it ends.
#[derive(Debug)]
pub(super) struct RunLock {
    _file: File,
    /// Keeps what this run may be about to refer to from being collected.
    _shared: File,
}

/// The right to remove what no run refers to: nobody writes meanwhile.
#[derive(Debug)]
pub(super) struct CollectorLock {
    _file: File,
}

impl CollectorLock {
    /// Takes the right, or says at once that some run is being written or collected; `None` then.
    pub(super) fn take(home: &Path) -> Result<Option<Self>, Error> {
        let path = collector(home);
        let io = |source| Error::Io { path: path.clone(), source };
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

impl RunLock {
    /// Takes the right, or says at once that somebody has it.
    pub(super) async fn take(home: &Path, run: &RunId) -> Result<Self, Error> {
        const ATTEMPTS: u32 = 5;
        for attempt in 1..=ATTEMPTS {
            match Self::try_take(home, run) {
                // Somebody who only looks whether the run is live holds the lock for a moment.
                Err(Error::Locked { .. } | Error::Collecting) if attempt < ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                taken => return taken,
            }
        }
        Err(Error::Locked { run: run.clone() })
    }

    /// Whether somebody has it now.
    pub(super) fn is_taken(home: &Path, run: &RunId) -> Result<bool, Error> {
        if !path(home, run).exists() {
            return Ok(false);
        }
        match Self::try_take(home, run) {
            Ok(_) | Err(Error::Collecting) => Ok(false),
            Err(Error::Locked { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn try_take(home: &Path, run: &RunId) -> Result<Self, Error> {
        let path = path(home, run);
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { run: run.clone() }),
            Err(TryLockError::Error(source)) => return Err(Error::Io { path, source }),
        }
        let path = collector(home);
        let shared = open(&path)?;
        match shared.try_lock_shared() {
            Ok(()) => Ok(Self { _file: file, _shared: shared }),
            Err(TryLockError::WouldBlock) => Err(Error::Collecting),
            Err(TryLockError::Error(source)) => Err(Error::Io { path, source }),
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(io)?;
    }
    File::options().create(true).truncate(false).write(true).open(path).map_err(io)
}

/// No run's id has a dot, so no run's lock has this name.
fn collector(home: &Path) -> PathBuf {
    home.join("locks").join("collector.gc")
}

fn path(home: &Path, run: &RunId) -> PathBuf {
    home.join("locks").join(format!("{run}.lock"))
}
