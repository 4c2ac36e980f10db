use crate::Illegal;
use std::io;
use std::path::PathBuf;

/// Why a library could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The event contradicts the state of the library.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// A file is not what the events say.
    #[error("`{}` is not the file that the library wrote", path.display())]
    Tampered {
        /// The file.
        path: PathBuf,
    },
    /// An event in the database cannot be read or applied.
    #[error("event {seq} of the library is damaged: {reason}")]
    Corrupt {
        /// Its number.
        seq: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no library to read.
    #[error("there is no skill library in `{}`", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// It was opened to be read only.
    #[error("the library was opened read-only")]
    ReadOnly,
    /// A newer program wrote it.
    #[error("the library has schema version {found}, this program knows {known}: use a newer program")]
    TooNew {
        /// What the database says.
        found: i64,
        /// What this crate writes.
        known: i64,
    },
    /// The database failed.
    #[error("the library's database failed")]
    Database(#[from] sqlx::Error),
    /// A file could not be read or written.
    #[error("cannot access `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A value could not be written as JSON.
    #[error("cannot encode a library record")]
    Encode {
        /// What the encoder said.
        source: serde_json::Error,
    },
}
