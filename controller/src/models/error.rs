use super::convert::ConvertError;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// An error of finding, downloading or verifying a model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The catalogue has no model with this name.
    #[error("no model named `{name}`{}; `sojourn models list` shows all", did_you_mean(nearest.as_deref()))]
    Unknown {
        /// The name that the caller gave.
        name: String,
        /// The most similar name, if one is similar enough.
        nearest: Option<String>,
    },
    /// The model is not in the cache.
    #[error("the model `{name}` is not on this machine; fetch it with `sojourn models pull {name}`")]
    NotPulled {
        /// Name or URL of the model.
        name: String,
    },
    /// The path does not exist.
    #[error("no file `{}`; give the path of a file or a name from `sojourn models list`", .path.display())]
    NoFile {
        /// The path that the caller gave.
        path: PathBuf,
    },
    /// All sources failed.
    #[error(
        "cannot download `{name}`:{}\nthe partial download is kept; run the same command again to continue",
        attempts(tried)
    )]
    NoSource {
        /// Name of the file.
        name: String,
        /// All sources with their errors, in order.
        tried: Vec<Attempt>,
    },
    /// The file has another hash than expected.
    #[error(
        "`{what}` has the wrong sha256 {got} instead of {expected} and is not used; run `sojourn models pull` to download it again"
    )]
    Hash {
        /// The file.
        what: String,
        /// Expected SHA-256, in hexadecimal.
        expected: String,
        /// Actual SHA-256, in hexadecimal.
        got: String,
    },
    /// The file has another length than expected.
    #[error(
        "`{what}` has {got} bytes instead of {expected} and is not used; run `sojourn models pull` to download it again"
    )]
    Size {
        /// The file.
        what: String,
        /// Expected length, in bytes.
        expected: u64,
        /// Actual length, in bytes.
        got: u64,
    },
    /// The disk has too little free space to start.
    #[error(
        "`{}` has {} free and {} are needed; free some, or set SOJOURN_MODELS to a directory on a larger disk",
        .dir.display(), megabytes(*available), megabytes(*needed)
    )]
    Disk {
        /// The cache directory.
        dir: PathBuf,
        /// Required space, in bytes.
        needed: u64,
        /// Free space, in bytes.
        available: u64,
    },
    /// The disk became full during the download.
    #[error("the disk with `{}` is full; free some space and run the same command again; the partial download is kept", .path.display())]
    Full {
        /// The file that could not be written.
        path: PathBuf,
    },
    /// The operating system could not read or write a file or directory.
    #[error("`{}`: {source}; check that the directory exists and is writable", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A server is unreachable or returns an error.
    #[error("{host}: {reason}")]
    Http {
        /// Host name of the server.
        host: String,
        /// Cause of the failure.
        reason: String,
    },
    /// Python with pip is not installed.
    #[error("downloading Python packages requires `python3 -m pip`; install Python 3 with pip")]
    PipMissing,
    /// pip failed to download a package.
    #[error("pip could not download `{package}`: {reason}; check its configuration with `pip config list`")]
    Pip {
        /// Package and version.
        package: String,
        /// pip's error message.
        reason: String,
    },
    /// A package has unexpected content.
    #[error("the package `{package}` cannot be used: {reason}")]
    Package {
        /// Package and version.
        package: String,
        /// The file or the content that is missing or unexpected.
        reason: String,
    },
    /// The downloaded files cannot be converted to GGUF.
    #[error("cannot convert `{name}`: {source}; please report this")]
    Convert {
        /// Name of the model.
        name: String,
        /// The converter's error.
        source: ConvertError,
    },
    /// A URL does not lead to a GGUF file.
    #[error("`{url}` is not a usable model: {reason}; give the URL of a GGUF file")]
    NotAModel {
        /// The URL.
        url: String,
        /// The error of reading the file as GGUF.
        reason: String,
    },
    /// The catalogue is inconsistent.
    #[error("invalid model catalogue: {0}")]
    Catalogue(String),
    /// The operating system defines no cache directory.
    #[error("this system has no cache directory; set SOJOURN_MODELS to a directory for models")]
    NoCacheDirectory,
    /// The pull was cancelled.
    #[error("the pull was cancelled; the partial download is kept, and the same command continues it")]
    Cancelled,
}

/// A failed download source.
#[derive(Debug)]
pub struct Attempt {
    /// Name of the source.
    pub source: String,
    /// Why it failed.
    pub error: ModelError,
}

impl ModelError {
    /// Classifies an error of the file system at `path`.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, source },
        }
    }

    /// Whether another source may succeed.
    pub(super) fn is_source_error(&self) -> bool {
        matches!(
            self,
            Self::Hash { .. }
                | Self::Size { .. }
                | Self::Http { .. }
                | Self::PipMissing
                | Self::Pip { .. }
                | Self::Package { .. }
        )
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

fn attempts(tried: &[Attempt]) -> String {
    tried.iter().fold(String::new(), |mut text, attempt| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {}: {}", attempt.source, attempt.error);
        text
    })
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
