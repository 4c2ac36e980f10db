use super::RunId;
use crate::Error;
use sojourn_primitives::create_private_dir;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Exclusive right to write one run. The operating system releases the lock when the process ends.
#[derive(Debug)]
pub(super) struct RunLock {
    file: File,
    /// A shared lock that keeps garbage collection out while a run is written.
    _shared: File,
}

/// Exclusive right to collect garbage. It excludes every writer.
#[derive(Debug)]
pub(super) struct CollectorLock {
    _file: File,
}

impl CollectorLock {
    /// Takes the lock without waiting; `None` if a run is being written or another process collects.
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
    /// Takes the lock, retrying for 40 ms.
    pub(super) async fn take(home: &Path, run: &RunId) -> Result<Self, Error> {
        const ATTEMPTS: u32 = 5;
        for attempt in 1..=ATTEMPTS {
            match Self::try_take(home, run).map(Self::signed) {
                // [`Self::is_taken`] holds the lock for a moment.
                Err(Error::Locked { .. } | Error::Collecting) if attempt < ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                taken => return taken,
            }
        }
        Err(Error::Locked { run: run.clone() })
    }

    /// Whether a writer holds the lock at this moment.
    pub(super) fn is_taken(home: &Path, run: &RunId) -> Result<bool, Error> {
        if !path(home, run).exists() {
            return Ok(false);
        }
        match Self::try_take(home, run) {
            Ok(lock) => {
                // The writer that left its id is gone, and the system may give the id to another process.
                let _ = lock.file.set_len(0);
                Ok(false)
            }
            Err(Error::Collecting) => Ok(false),
            Err(Error::Locked { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Process id of the writer that holds the lock at this moment; `None` when no process holds it, or when
    /// an older version that writes no id does.
    pub(super) fn holder(home: &Path, run: &RunId) -> Result<Option<u32>, Error> {
        if !Self::is_taken(home, run)? {
            return Ok(None);
        }
        let path = path(home, run);
        let text = fs::read_to_string(&path).map_err(|source| Error::Io { path, source })?;
        Ok(text.trim().parse().ok())
    }

    /// Writes this process's id into the file, so that another process can ask this one to stop. On a full disk the file stays
    /// empty: a run can be resumed there too.
    fn signed(mut self) -> Self {
        if self.file.set_len(0).is_ok() {
            let _ = writeln!(self.file, "{}", std::process::id());
        }
        self
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
            Ok(()) => Ok(Self { file, _shared: shared }),
            Err(TryLockError::WouldBlock) => Err(Error::Collecting),
            Err(TryLockError::Error(source)) => Err(Error::Io { path, source }),
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        create_private_dir(directory).map_err(io)?;
    }
    File::options().create(true).truncate(false).write(true).open(path).map_err(io)
}

/// A run's lock file ends in `.lock`, whatever its id is; no other lock of a home may.
fn collector(home: &Path) -> PathBuf {
    home.join("locks").join("collector.gc")
}

fn path(home: &Path, run: &RunId) -> PathBuf {
    home.join("locks").join(format!("{run}.lock"))
}
