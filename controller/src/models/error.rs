use super::convert::ConvertError;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a model is not to be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No model has this name.
    #[error("no model named `{name}`{}; `sojourn models list` shows all", did_you_mean(nearest.as_deref()))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The name most like it.
        nearest: Option<String>,
    },
    /// The model is known but not on this machine.
    #[error("the model `{name}` is not on this machine; fetch it with `sojourn models pull {name}`")]
    NotPulled {
        /// Its name, or its address.
        name: String,
    },
    /// There is no such file.
    #[error("there is no file `{}`; give a path that exists or a name that `sojourn models list` shows", .path.display())]
    NoFile {
        /// What was asked for.
        path: PathBuf,
    },
    /// Every source was asked in vain.
    #[error(
        "`{name}` could not be fetched:{}\nwhat has arrived is kept; run the same command again to go on",
        attempts(tried)
    )]
    NoSource {
        /// The model, or the file it is made of.
        name: String,
        /// The sources in the order they were asked.
        tried: Vec<Attempt>,
    },
    /// What was fetched, or what lies in the cache, is not what it should be.
    #[error(
        "`{what}` has the wrong sha256 {got} instead of {expected}; it is not used: run `sojourn models pull` again to fetch it anew"
    )]
    Hash {
        /// The file.
        what: String,
        /// The hash it should have, in hexadecimal.
        expected: String,
        /// The hash it has.
        got: String,
    },
    /// What a source offers, or what lies in the cache, has another length.
    #[error(
        "`{what}` has {got} bytes instead of {expected}; it is not used: run `sojourn models pull` to fetch it anew"
    )]
    Size {
        /// The file.
        what: String,
        /// The length it should have, in bytes.
        expected: u64,
        /// The length it has.
        got: u64,
    },
    /// There is too little room to begin.
    #[error(
        "`{}` has {} free and {} are needed; free some, or set SOJOURN_MODELS to a directory on a larger disk",
        .dir.display(), megabytes(*available), megabytes(*needed)
    )]
    Disk {
        /// The cache directory.
        dir: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// The disk ran full on the way.
    #[error("the disk with `{}` is full; free some and run the same command again: what has arrived is kept", .path.display())]
    Full {
        /// The file that could not be written.
        path: PathBuf,
    },
    /// A file or directory cannot be read or written.
    #[error("`{}`: {source}; check that the directory exists and is yours to write", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A server cannot be reached or does not answer as it should.
    #[error("{host}: {reason}")]
    Http {
        /// The server.
        host: String,
        /// What happened.
        reason: String,
    },
    /// There is no Python with pip to fetch packages with.
    #[error("fetching Python packages takes `python3 -m pip`, which is not here; install Python 3 with pip")]
    PipMissing,
    /// pip could not fetch a package.
    #[error("pip could not download `{package}`: {reason}; check its configuration with `pip config list`")]
    Pip {
        /// The package and its version.
        package: String,
        /// What pip said.
        reason: String,
    },
    /// A package does not hold what it should.
    #[error("the package `{package}` cannot be used: {reason}")]
    Package {
        /// The package and its version.
        package: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was fetched cannot be made into a model file.
    #[error("`{name}` could not be converted: {source}; please report this")]
    Convert {
        /// The model.
        name: String,
        /// Why.
        source: ConvertError,
    },
    /// What an address led to is not a GGUF file.
    #[error("`{url}` does not lead to a usable model: {reason}; give the address of a GGUF file")]
    NotAModel {
        /// The address.
        url: String,
        /// Why not.
        reason: String,
    },
    /// A catalogue contradicts itself.
    #[error("the model catalogue cannot be used: {0}")]
    Catalogue(String),
    /// The system does not say where caches belong.
    #[error("this system has no cache directory; set SOJOURN_MODELS to the directory that models go to")]
    NoCacheDirectory,
    /// The pull was called off.
    #[error("the pull was cancelled; what has arrived is kept, and the same command goes on from there")]
    Cancelled,
}

/// A source that was asked in vain.
#[derive(Debug)]
pub struct Attempt {
    /// Which.
    pub source: String,
    /// Why it did not work out.
    pub error: ModelError,
}

impl ModelError {
    /// An error of the file system at `path`.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, source },
        }
    }

    /// Whether another source may do better.
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
