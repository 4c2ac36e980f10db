//! Hashes files, and remembers verified hashes.
//!
//! Hashing a large file at every start is slow. A verified file therefore gets a marker file with its hash,
//! length and modification time. The marker is ignored once length or time have changed.

use super::ModelError;
use super::disk::{sibling, write_whole};
use crate::Cancel;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Number of bytes hashed at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Content of a marker file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    sha256: String,
    bytes: u64,
    /// Modification time, in nanoseconds since 1970.
    modified: u128,
}

impl Marker {
    fn of(metadata: &Metadata, sha256: &str) -> Option<Self> {
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        Some(Self { sha256: sha256.to_owned(), bytes: metadata.len(), modified })
    }
}

/// The verified hash of `file`; `None` if the file changed since its verification.
pub fn verified_hash(file: &Path) -> Option<String> {
    let marker: Marker = serde_json::from_slice(&std::fs::read(sibling(file, "verified")).ok()?).ok()?;
    let now = Marker::of(&file.metadata().ok()?, &marker.sha256)?;
    (now == marker).then_some(marker.sha256)
}

/// Writes the marker of `file`.
pub fn mark_verified(file: &Path, sha256: &str) -> Result<(), ModelError> {
    let metadata = file.metadata().map_err(|error| ModelError::io(file, error))?;
    // A file with a modification time before 1970 gets no marker.
    let Some(marker) = Marker::of(&metadata, sha256) else { return Ok(()) };
    let path = sibling(file, "verified");
    let text = serde_json::to_vec(&marker).map_err(|error| ModelError::io(&path, error.into()))?;
    write_whole(&path, &text)
}

/// SHA-256 of a file, in lowercase hexadecimal.
///
/// # Errors
/// [`ModelError::Cancelled`] if `cancel` is triggered.
pub fn hash_file(path: &Path, cancel: &Cancel) -> Result<String, ModelError> {
    hash_range(path, 0, u64::MAX, cancel)
}

/// SHA-256 of at most `bytes` bytes of a file, starting at the offset `start`.
pub fn hash_range(path: &Path, start: u64, bytes: u64, cancel: &Cancel) -> Result<String, ModelError> {
    let io = |error| ModelError::io(path, error);
    let mut file = File::open(path).map_err(io)?;
    file.seek(SeekFrom::Start(start)).map_err(io)?;
    let mut file = file.take(bytes);
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if cancel.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        match file.read(&mut chunk).map_err(io)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&chunk[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_is_valid_until_the_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.gguf");
        std::fs::write(&file, "abc").unwrap();
        let hash = hash_file(&file, &Cancel::new()).unwrap();
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(verified_hash(&file), None);
        mark_verified(&file, &hash).unwrap();
        assert_eq!(verified_hash(&file), Some(hash));
        std::fs::write(&file, "abd").unwrap();
        File::options().append(true).open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert_eq!(verified_hash(&file), None);
    }

    #[test]
    fn malformed_marker_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.gguf");
        std::fs::write(&file, "abc").unwrap();
        std::fs::write(sibling(&file, "verified"), "{\"sha256\":3}").unwrap();
        assert_eq!(verified_hash(&file), None);
    }

    #[test]
    fn hashing_can_be_cancelled() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(matches!(hash_file(file.path(), &cancel), Err(ModelError::Cancelled)));
    }
}
