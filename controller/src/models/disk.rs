//! Room, locks, and putting a finished file in its place.

use super::progress::{Progress, Report};
use super::{ModelError, convert::GgufWriter};
use crate::Cancel;
use std::fs::{File, TryLockError};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a lock that another process holds is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);
/// What is left free on the disk, whatever is fetched.
const SPARE_BYTES: u64 = 16 << 20;

/// The file `suffix` that goes with `file`: `model.gguf` and `part` make `model.gguf.part`.
pub fn sibling(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// How long a file is; zero where there is none.
pub fn length(file: &Path) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

/// How much the files of a directory hold together.
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

/// Checks that `bytes` more fit into `dir`.
pub fn check_room(dir: &Path, bytes: u64) -> Result<(), ModelError> {
    let available = fs4::available_space(dir).map_err(|error| ModelError::io(dir, error))?;
    let needed = bytes.saturating_add(SPARE_BYTES);
    if available < needed {
        return Err(ModelError::Disk { dir: dir.to_path_buf(), needed, available });
    }
    Ok(())
}

/// Makes sure that one pull at a time works on a file. The system lets go of it when the process ends, however it ends.
///
/// The file that carries the lock stays: deleting it could take it from under somebody who is about to lock it.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock beside `file`.
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

/// Writes a small file so that it is there whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let part = sibling(path, "part");
    std::fs::write(&part, bytes).map_err(|error| ModelError::io(&part, error))?;
    install(&part, path)
}

/// Writes a GGUF file.
pub fn write_gguf(path: &Path, gguf: &GgufWriter) -> Result<(), ModelError> {
    let write = || {
        let mut out = BufWriter::new(File::create(path)?);
        gguf.write_to(&mut out)?;
        out.flush()
    };
    write().map_err(|error| ModelError::io(path, error))
}

/// Moves a finished file to its place, so that after a power cut there is either all of it or nothing.
pub fn install(part: &Path, path: &Path) -> Result<(), ModelError> {
    let synced = File::options().write(true).open(part).and_then(|file| file.sync_all());
    synced.map_err(|error| ModelError::io(part, error))?;
    std::fs::rename(part, path).map_err(|error| ModelError::io(path, error))?;
    // The new name is safe once the directory is; only Unix can be told to see to that.
    #[cfg(unix)]
    if let Some(dir) = path.parent() {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| ModelError::io(dir, error))?;
    }
    Ok(())
}

/// Removes a file; that there is none is fine.
pub fn remove_file(path: &Path) -> Result<(), ModelError> {
    ignore_not_found(path, std::fs::remove_file(path))
}

/// Removes a directory with all it holds; that there is none is fine.
pub fn remove_directory(path: &Path) -> Result<(), ModelError> {
    ignore_not_found(path, std::fs::remove_dir_all(path))
}

fn ignore_not_found(path: &Path, result: std::io::Result<()>) -> Result<(), ModelError> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ModelError::io(path, error)),
        _ => Ok(()),
    }
}
