//! Disk space, lock files, and atomic installation of files.

use super::progress::{Progress, Report};
use super::{ModelError, convert::GgufWriter};
use crate::Cancel;
use std::fs::{File, TryLockError};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Interval between attempts to take a lock that another process holds.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);
/// Disk space that downloads leave free, in bytes.
const SPARE_BYTES: u64 = 16 << 20;

/// Path of an auxiliary file: `model.gguf` and `part` give `model.gguf.part`.
pub fn sibling(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// Length of a file in bytes; 0 if it does not exist.
pub fn length(file: &Path) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

/// Total length of all files below a directory, in bytes.
pub fn directory_bytes(dir: &Path) -> u64 {
    let Ok(entries) = dir.read_dir() else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Checks that the disk of `dir` has room for `bytes` more bytes.
///
/// # Errors
/// [`ModelError::Disk`].
pub fn check_room(dir: &Path, bytes: u64) -> Result<(), ModelError> {
    let available = fs4::available_space(dir).map_err(|error| ModelError::io(dir, error))?;
    let needed = bytes.saturating_add(SPARE_BYTES);
    if available < needed {
        return Err(ModelError::Disk { dir: dir.to_path_buf(), needed, available });
    }
    Ok(())
}

/// Lock that admits one pull per file. The operating system releases it when the process ends.
///
/// The lock file is never deleted, because another process may be about to lock it.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock of `file`.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`] if `cancel` is triggered.
    pub async fn acquire(file: &Path, cancel: &Cancel, report: &Report) -> Result<Self, ModelError> {
        let path = sibling(file, "lock");
        let io = |error| ModelError::io(&path, error);
        let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        let mut waited = false;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { _file: lock }),
                Err(TryLockError::Error(error)) => return Err(io(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if !waited {
                report(Progress::Waiting);
                waited = true;
            }
            tokio::select! {
                () = tokio::time::sleep(LOCK_INTERVAL) => {}
                () = cancel.cancelled() => return Err(ModelError::Cancelled),
            }
        }
    }
}

/// Writes a small file atomically.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let part = sibling(path, "part");
    std::fs::write(&part, bytes).map_err(|error| ModelError::io(&part, error))?;
    install(&part, path)
}

pub fn write_gguf(path: &Path, gguf: &GgufWriter) -> Result<(), ModelError> {
    let write = || {
        let mut out = BufWriter::new(File::create(path)?);
        gguf.write_to(&mut out)?;
        out.flush()
    };
    write().map_err(|error| ModelError::io(path, error))
}

/// Moves a finished file to its place atomically, also with respect to a power failure.
pub fn install(part: &Path, path: &Path) -> Result<(), ModelError> {
    let synced = File::options().write(true).open(part).and_then(|file| file.sync_all());
    synced.map_err(|error| ModelError::io(part, error))?;
    std::fs::rename(part, path).map_err(|error| ModelError::io(path, error))?;
    // The new name is durable once the directory is synced, which only Unix supports.
    #[cfg(unix)]
    if let Some(dir) = path.parent() {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| ModelError::io(dir, error))?;
    }
    Ok(())
}

/// Removes a file if it exists.
pub fn remove_file(path: &Path) -> Result<(), ModelError> {
    ignore_not_found(path, std::fs::remove_file(path))
}

/// Removes a directory with its content if it exists.
pub fn remove_directory(path: &Path) -> Result<(), ModelError> {
    ignore_not_found(path, std::fs::remove_dir_all(path))
}

fn ignore_not_found(path: &Path, result: std::io::Result<()>) -> Result<(), ModelError> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ModelError::io(path, error)),
        _ => Ok(()),
    }
}
