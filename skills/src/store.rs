//! Folders of skill versions for people: `skills/<name>/v<k>/{manifest.json, skill.js, skill.wasm}`.
//!
//! They duplicate the events. A folder appears by one rename, so it is never incomplete. A missing folder is
//! written again; a differing one is reported as tampered.

use crate::{LibraryError, Skill};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An unfinished folder older than this was left by a process that died.
const ABANDONED: Duration = Duration::from_hours(1);

/// Writes the folder of a version unless it exists.
pub(crate) fn write(root: &Path, skill: &Skill) -> Result<(), LibraryError> {
    let folder = folder(root, skill);
    if folder.exists() {
        return verify(root, skill);
    }
    let name = &skill.manifest.name;
    let temporary = root.join(format!(".{name}-v{}-{}", skill.manifest.version, std::process::id()));
    remove(&temporary).map_err(|source| io_error(&temporary, source))?;
    fs::create_dir_all(&temporary).map_err(|source| io_error(&temporary, source))?;
    for (file, content) in files(skill)? {
        let path = temporary.join(file);
        write_synced(&path, &content).map_err(|source| io_error(&path, source))?;
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|source| io_error(parent, source))?;
    }
    match fs::rename(&temporary, &folder) {
        Ok(()) => Ok(()),
        // Another process created it first; it must be identical.
        Err(_) if folder.exists() => {
            remove(&temporary).map_err(|source| io_error(&temporary, source))?;
            verify(root, skill)
        }
        Err(source) => Err(io_error(&folder, source)),
    }
}

/// Whether the folder of a version exists.
pub(crate) fn exists(root: &Path, skill: &Skill) -> bool {
    folder(root, skill).exists()
}

/// Compares the folder of a version with the expected content.
pub(crate) fn verify(root: &Path, skill: &Skill) -> Result<(), LibraryError> {
    let folder = folder(root, skill);
    for (file, expected) in files(skill)? {
        let path = folder.join(file);
        match fs::read(&path) {
            Ok(content) if content == expected => {}
            Ok(_) => return Err(LibraryError::Tampered { path }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(LibraryError::Tampered { path });
            }
            Err(source) => return Err(io_error(&path, source)),
        }
    }
    Ok(())
}

/// Removes unfinished folders of dead processes.
pub(crate) fn sweep(root: &Path) -> Result<(), LibraryError> {
    let failed = |source| io_error(root, source);
    if !root.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let unfinished = entry.file_name().to_string_lossy().starts_with('.');
        let old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > ABANDONED));
        if unfinished && old {
            remove(&entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn folder(root: &Path, skill: &Skill) -> PathBuf {
    root.join(&skill.manifest.name).join(format!("v{}", skill.manifest.version))
}

fn files(skill: &Skill) -> Result<[(&'static str, Vec<u8>); 3], LibraryError> {
    let mut manifest =
        serde_json::to_vec_pretty(&skill.manifest).map_err(|source| LibraryError::Encode { source })?;
    manifest.push(b'\n');
    Ok([
        ("manifest.json", manifest),
        ("skill.js", skill.source.clone().into_bytes()),
        ("skill.wasm", skill.wasm.0.clone()),
    ])
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn io_error(path: &Path, source: io::Error) -> LibraryError {
    LibraryError::Io { path: path.to_owned(), source }
}
