use std::io;
use std::path::{Path, PathBuf};

/// Why a folder could not be written or read. No part of it was imported.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The folder contains no skill.
    #[error("`{}` is not a skill folder and contains none: no SKILL.md was found", path.display())]
    NoSkill {
        /// The folder.
        path: PathBuf,
    },
    /// A required file is missing.
    #[error("`{}` is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link, or not a regular file.
    #[error("`{}` is {what}: only regular files and folders are read", path.display())]
    NotPlain {
        /// The file or folder.
        path: PathBuf,
        /// "a link", "not a file".
        what: &'static str,
    },
    /// The file exceeds its size limit.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The folder contains too many skills.
    #[error("`{}` contains more than {limit} skills", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The content of a file is invalid.
    #[error("`{}`: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The defect of the file.
        reason: String,
    },
    /// The target folder already exists.
    #[error("`{}` already exists", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("cannot access `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
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
