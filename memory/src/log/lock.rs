use super::RunId;
use crate::Error;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The right to write a run, kept by the kernel for an open file: it ends with the process, however it ends.
#[derive(Debug)]
pub(super) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the right, or says at once that somebody has it.
    pub(super) async fn take(home: &Path, run: &RunId) -> Result<Self, Error> {
        const ATTEMPTS: u32 = 5;
        for attempt in 1..=ATTEMPTS {
            match Self::try_take(home, run) {
                // Somebody who only looks whether the run is live holds the lock for a moment.
                Err(Error::Locked { .. }) if attempt < ATTEMPTS => {
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
            Ok(_) => Ok(false),
            Err(Error::Locked { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn try_take(home: &Path, run: &RunId) -> Result<Self, Error> {
        let path = path(home, run);
        let io = |source| Error::Io { path: path.clone(), source };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(io)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { run: run.clone() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

fn path(home: &Path, run: &RunId) -> PathBuf {
    home.join("locks").join(format!("{run}.lock"))
}
