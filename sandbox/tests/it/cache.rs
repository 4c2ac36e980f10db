//! A cached engine is used only if a process of this user wrote it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use sojourn_sandbox::{Sandbox, SandboxConfig};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn start(folder: &Path) -> Sandbox {
    Sandbox::new(SandboxConfig { cache_dir: Some(folder.to_owned()), instances: 4 }).unwrap()
}

fn engine_file(folder: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("engine-"))
}

/// One test, because every start without a cache compiles the engine.
#[test]
fn tampering_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("deep/cache");
    start(&cache);
    let file = engine_file(&cache).expect("the engine was cached");
    for path in [&file, &cache.join("key")] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 2, "no drafts are left behind");

    // Loaded unchanged: the file is not written again.
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    start(&cache);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);

    // With one flipped bit, or truncated: the engine is compiled and the file replaced.
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [flipped, good[..good.len() - 1].to_vec()] {
        fs::write(&file, &bad).unwrap();
        start(&cache);
        assert_eq!(fs::read(&file).unwrap().len(), good.len());
        assert_ne!(fs::read(&file).unwrap(), bad);
    }

    // With a MAC under another key: likewise.
    let proven = fs::read(&file).unwrap();
    fs::remove_file(cache.join("key")).unwrap();
    start(&cache);
    assert_ne!(fs::read(&file).unwrap()[..32], proven[..32]);

    // Readable by others: no longer trusted, and replaced.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    start(&cache);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // A folder that others may enter is not used.
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    start(&open);
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0);

    // A symbolic link is not used.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&open, &link).unwrap();
    start(&link);
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0);
}
