use super::ModelError;
use super::catalogue::Entry;
use super::disk::length;
use super::marker::{hash_file, mark_verified, verified_hash};
use crate::Cancel;
use reqwest::Url;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Number of hash digits that distinguish the files of different URLs.
const ADDRESS_DIGITS: usize = 12;

/// A file in the cache, present or not, with its expected properties.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name that the user knows the file by.
    pub name: String,
    /// Path in the cache.
    pub path: PathBuf,
    /// Expected length in bytes, if known.
    pub bytes: Option<u64>,
    /// Expected SHA-256, if known.
    pub sha256: Option<String>,
}

impl Target {
    /// The file of a catalogue model.
    pub fn of_entry(entry: &Entry, dir: &Path) -> Self {
        Self {
            name: entry.name.clone(),
            path: dir.join(&entry.asset.file),
            bytes: Some(entry.asset.bytes),
            sha256: Some(entry.asset.sha256.clone()),
        }
    }

    /// The file of a URL. Its fragment `#sha256=…` sets the expected hash.
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

    /// Whether the file is present and right. A file without a valid marker is hashed; `hashing` is called
    /// before that.
    ///
    /// # Errors
    /// [`ModelError::Size`] or [`ModelError::Hash`] for a wrong file.
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

    /// Hashes `file` and returns its SHA-256.
    ///
    /// # Errors
    /// [`ModelError::Hash`] if it differs from the expected one.
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

/// Parses an HTTP or HTTPS URL; `None` for anything else.
pub fn as_url(what: &str) -> Option<Url> {
    Url::parse(what).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_urls_have_different_files() {
        let dir = Path::new("/cache");
        let file = |url: &str| {
            let target = Target::of_url(&as_url(url).unwrap(), dir);
            (target.path.file_name().unwrap().to_str().unwrap().to_owned(), target.sha256)
        };
        let (one, _) = file("https://example.org/a/model.gguf");
        let (other, _) = file("https://example.org/b/model.gguf");
        assert_ne!(one, other);
        assert!(one.ends_with("-model.gguf"), "{one}");
        // The fragment is not part of the file's name.
        assert_eq!(file("https://example.org/a/model.gguf#sha256=AB"), (one, Some("ab".to_owned())));
        let (odd, _) = file("https://example.org/..%2F..%2Fetc?download=true");
        assert!(!odd.contains('/') && !odd.contains('%'), "{odd}");
    }

    #[test]
    fn only_http_urls_are_urls() {
        for what in
            ["qwen2.5-coder-1.5b-instruct", "/models/a.gguf", "C:\\models\\a.gguf", "file:///a.gguf", ""]
        {
            assert!(as_url(what).is_none(), "{what}");
        }
    }
}
