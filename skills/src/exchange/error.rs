use std::io;
use std::path::{Path, PathBuf};

/// Why a folder could not be written or read. Nothing of it was taken over.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// There is nothing to read.
    #[error("`{}` is not a skill's folder, and holds none: there is no SKILL.md", path.display())]
    NoSkill {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is needed is not there.
    #[error("`{}` is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It points elsewhere, or is no file.
    #[error("`{}` is {what}: only plain files and folders are read", path.display())]
    NotPlain {
        /// The file or folder.
        path: PathBuf,
        /// "a link", "not a file".
        what: &'static str,
    },
    /// It is larger than any skill's.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// There are more folders than a library has skills.
    #[error("`{}` holds more than {limit} skills", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// Folders that are allowed.
        limit: usize,
    },
    /// It does not say what it must.
    #[error("`{}`: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder to be written is there already.
    #[error("`{}` exists already", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot access `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ExchangeError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(super) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), reason: reason.into() }
    }
}
