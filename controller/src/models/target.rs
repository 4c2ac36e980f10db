use super::ModelError;
use super::catalogue::Entry;
use super::disk::length;
use super::marker::{hash_file, mark_verified, verified_hash};
use crate::Cancel;
use reqwest::Url;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Digits of the address's hash that keep apart the files of two addresses.
const ADDRESS_DIGITS: usize = 12;

/// A file in the cache, whether it is there or not, and what is known of it beforehand.
#[derive(Debug, Clone)]
pub struct Target {
    /// What the user calls it.
    pub name: String,
    /// Where it belongs.
    pub path: PathBuf,
    /// How long it has to be.
    pub bytes: Option<u64>,
    /// The hash it has to have.
    pub sha256: Option<String>,
}

impl Target {
    /// The file of a model in the catalogue.
    pub fn of_entry(entry: &Entry, dir: &Path) -> Self {
        Self {
            name: entry.name.clone(),
            path: dir.join(&entry.asset.file),
            bytes: Some(entry.asset.bytes),
            sha256: Some(entry.asset.sha256.clone()),
        }
    }

    /// The file that an address leads to; its hash may be given at the end, as `#sha256=…`.
    pub fn of_url(url: &Url, dir: &Path) -> Self {
        let sha256 =
            url.fragment().and_then(|fragment| fragment.strip_prefix("sha256=")).map(str::to_lowercase);
        let mut address = url.clone();
        address.set_fragment(None);
        let digest = hex::encode(Sha256::digest(address.as_str()));
        let last = url.path_segments().and_then(Iterator::last).unwrap_or_default();
        let plain: String = last
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' })
            .collect();
        let path = dir.join(format!("{}-{plain}", &digest[..ADDRESS_DIGITS]));
        Self { name: url.to_string(), path, bytes: None, sha256 }
    }

    /// Whether the file is there.
    ///
    /// One that is there but wrong is an error, [`ModelError::Size`] or [`ModelError::Hash`]. Where nobody noted its
    /// hash since it last changed, it is hashed, and `hashing` is called before.
    pub fn check(&self, cancel: &Cancel, hashing: impl FnOnce()) -> Result<bool, ModelError> {
        if !self.path.is_file() {
            return Ok(false);
        }
        if let Some(expected) = self.bytes {
            let got = length(&self.path);
            if got != expected {
                return Err(ModelError::Size { what: self.path.display().to_string(), expected, got });
            }
        }
        let Some(expected) = &self.sha256 else { return Ok(true) };
        if verified_hash(&self.path).as_ref() != Some(expected) {
            hashing();
            self.verify(&self.path, cancel)?;
            mark_verified(&self.path, expected)?;
        }
        Ok(true)
    }

    /// Hashes `file`, which is to become or is this one, and says what the hash is; a wrong one is an error.
    pub fn verify(&self, file: &Path, cancel: &Cancel) -> Result<String, ModelError> {
        let got = hash_file(file, cancel)?;
        match &self.sha256 {
            Some(expected) if *expected != got => {
                let what = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Err(ModelError::Hash { what, expected: expected.clone(), got })
            }
            _ => Ok(got),
        }
    }
}

/// The address in `what`, if it is one that a model can be fetched from.
pub fn as_url(what: &str) -> Option<Url> {
    Url::parse(what).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_addresses_have_two_files_whatever_they_are_called() {
        let dir = Path::new("/cache");
        let file = |url: &str| {
            let target = Target::of_url(&as_url(url).unwrap(), dir);
            (target.path.file_name().unwrap().to_str().unwrap().to_owned(), target.sha256)
        };
        let (one, _) = file("https://example.org/a/model.gguf");
        let (other, _) = file("https://example.org/b/model.gguf");
        assert_ne!(one, other);
        assert!(one.ends_with("-model.gguf"), "{one}");
        // The hash at the end is no part of where the file is.
        assert_eq!(file("https://example.org/a/model.gguf#sha256=AB"), (one, Some("ab".to_owned())));
        let (odd, _) = file("https://example.org/..%2F..%2Fetc?download=true");
        assert!(!odd.contains('/') && !odd.contains('%'), "{odd}");
    }

    #[test]
    fn only_web_addresses_are_addresses() {
        for what in
            ["qwen2.5-coder-1.5b-instruct", "/models/a.gguf", "C:\\models\\a.gguf", "file:///a.gguf", ""]
        {
            assert!(as_url(what).is_none(), "{what}");
        }
    }
}
