//! Caches the compiled engine on disk, so that a start takes milliseconds.
//!
//! Loading compiled code means executing it. A file is therefore trusted only if its HMAC-SHA-256 proves that
//! a process of this user wrote it. The random key lies in the same folder, readable by this user alone, in a
//! folder that only this user may enter. An attacker who could forge it could replace the program itself.
//! Without these guarantees there is no cache.
#![allow(unsafe_code)]

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use wasmtime::{Engine, Module};

const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
const KEY_FILE: &str = "key";

/// Cache file of one compiled engine.
pub(crate) struct Cache {
    file: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Cache {
    /// The cache file for what `engine` compiles from the module with hash `sha256`. `None`, with a warning,
    /// if `folder` is not safe.
    pub(crate) fn open(folder: &Path, engine: &Engine, sha256: &str) -> Option<Self> {
        match private::folder(folder).and_then(|()| key(folder)) {
            Ok(key) => {
                let file = folder.join(format!("engine-{}.bin", fingerprint(engine, sha256)));
                Some(Self { file, key })
            }
            Err(error) => {
                tracing::warn!("the compiled engine is not cached in {}: {error}", folder.display());
                None
            }
        }
    }

    /// The cached module, if it exists and is authentic.
    pub(crate) fn load(&self, engine: &Engine) -> Option<Module> {
        let bytes = private::read(&self.file).ok()?;
        let (mac, code) = bytes.split_at_checked(MAC_BYTES)?;
        if self.mac(code)?.verify_slice(mac).is_err() {
            tracing::warn!("{} is not authentic and is ignored", self.file.display());
            return None;
        }
        // SAFETY: `deserialize` requires bytes from `Module::serialize`. The HMAC proves that `store` below
        // wrote exactly these bytes, which are in memory and cannot change. The file name and wasmtime's
        // header prove that they belong to the same module, version, settings and processor.
        match unsafe { Module::deserialize(engine, code) } {
            Ok(module) => Some(module),
            Err(error) => {
                tracing::debug!("the cached engine does not fit: {error:#}");
                None
            }
        }
    }

    /// Writes `module` to the cache. A failure is logged.
    pub(crate) fn store(&self, module: &Module) {
        let written =
            module.serialize().map_err(|error| io::Error::other(error.to_string())).and_then(|code| {
                let mac = self.mac(&code).ok_or_else(|| io::Error::other("no keyed hash"))?.finalize();
                private::write(&self.file, &[&mac.into_bytes(), &code])
            });
        if let Err(error) = written {
            tracing::warn!("the compiled engine could not be cached in {}: {error}", self.file.display());
        }
    }

    /// The MAC covers the file name, so that one entry cannot replace another.
    fn mac(&self, code: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(self.file.file_name()?.as_encoded_bytes());
        mac.update(&[0]);
        mac.update(code);
        Some(mac)
    }
}

/// Hash of everything that compiled code depends on: wasmtime's version and settings, the processor, the
/// module.
fn fingerprint(engine: &Engine, sha256: &str) -> String {
    struct Feed(Sha256);
    impl Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut feed);
    feed.0.update(sha256);
    hex::encode(feed.0.finalize())[..32].to_owned()
}

/// The folder's key, created if missing.
fn key(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let file = folder.join(KEY_FILE);
    if let Some(key) = existing_key(&file)? {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    match private::create(&file, &key) {
        Ok(()) => Ok(key),
        // Another process created it first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            existing_key(&file)?.ok_or_else(|| io::Error::other("the key vanished"))
        }
        Err(error) => Err(error),
    }
}

fn existing_key(file: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    match private::read(file) {
        Ok(bytes) => match bytes.try_into() {
            Ok(key) => Ok(Some(key)),
            Err(_) => Err(io::Error::other(format!("{} is damaged; delete it", file.display()))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Access to files and folders that no other user can read or change.
#[cfg(unix)]
mod private {
    use super::{Path, Write, io};
    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io::Read;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};

    /// Creates the folder if missing. Fails unless it belongs to this user alone.
    pub fn folder(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let metadata = std::fs::symlink_metadata(path)?;
        if !metadata.is_dir() {
            return Err(io::Error::other("it is not a folder"));
        }
        ours(&metadata)
    }

    fn ours(metadata: &Metadata) -> io::Result<()> {
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to another user"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(io::Error::other("other users may enter it; its mode must be 0700"));
        }
        Ok(())
    }

    pub fn read(path: &Path) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        ours(&file.metadata()?)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes a new file atomically; fails if it exists.
    pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
        let draft = draft(path, &[bytes])?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        linked
    }

    /// Replaces a file atomically.
    pub fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        std::fs::rename(draft(path, parts)?, path)
    }

    fn draft(path: &Path, parts: &[&[u8]]) -> io::Result<std::path::PathBuf> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let draft = path.with_extension(format!("draft-{}", hex::encode(random)));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        Ok(draft)
    }
}

/// Other platforms have no cache.
#[cfg(not(unix))]
mod private {
    use super::{Path, io};

    fn unsupported<T>() -> io::Result<T> {
        Err(io::Error::other("only Unix permissions are supported"))
    }
    pub fn folder(_: &Path) -> io::Result<()> {
        unsupported()
    }
    pub fn read(_: &Path) -> io::Result<Vec<u8>> {
        unsupported()
    }
    pub fn create(_: &Path, _: &[u8]) -> io::Result<()> {
        unsupported()
    }
    pub fn write(_: &Path, _: &[&[u8]]) -> io::Result<()> {
        unsupported()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::Config;
    use wasmtime::ModuleVersionStrategy::Custom;

    #[test]
    fn the_file_name_depends_on_everything_that_compiled_code_depends_on() {
        let name = |change: fn(&mut Config) -> &mut Config, sha256: &str| {
            let mut config = Config::new();
            change(&mut config);
            fingerprint(&Engine::new(&config).unwrap(), sha256)
        };
        let same = name(|config| config, "engine");
        assert_eq!(same, name(|config| config, "engine"));
        assert_eq!(same.len(), 32);
        let others = [
            name(|config| config, "another engine"),
            name(|config| config.consume_fuel(true), "engine"),
            name(|config| config.memory_reservation(1 << 20), "engine"),
            // Stands for wasmtime's version, as far as a configuration can change it.
            name(|config| config.module_version(Custom("1".into())).unwrap(), "engine"),
        ];
        for (at, other) in others.iter().enumerate() {
            assert_ne!(&same, other);
            assert!(!others[..at].contains(other));
        }
    }
}
