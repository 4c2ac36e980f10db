use crate::IllegalEvent;
use std::io;
use std::path::PathBuf;

/// Why a library could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The event contradicts the state of the library.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    /// A file differs from what the events say.
    #[error("`{}` differs from the file that the library wrote", path.display())]
    Tampered {
        /// The file.
        path: PathBuf,
    },
    /// An event in the database is invalid.
    #[error("event {seq} of the library is damaged: {reason}")]
    Corrupt {
        /// Sequence number of the event.
        seq: i64,
        /// The defect of the event.
        reason: String,
    },
    /// The folder contains no library.
    #[error("there is no skill library in `{}`", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// The target of a copy has events that the library which is copied does not have.
    #[error("the library of the target has other skills than that of the source")]
    OtherContent,
    /// The library was opened read-only.
    #[error("the library was opened read-only")]
    ReadOnly,
    /// A newer version of the program wrote the library.
    #[error(
        "the library has schema version {found}, but this program supports at most {known}: use a newer version"
    )]
    TooNew {
        /// Schema version of the database.
        found: i64,
        /// Schema version of this program.
        known: i64,
    },
    /// The server of the library cannot be reached, or ended the connection.
    #[error("the library's server cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// The database failed.
    #[error("the library's database failed")]
    Database(#[source] sqlx::Error),
    /// A file operation failed.
    #[error("cannot access `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A record could not be encoded as JSON.
    #[error("cannot encode a library record")]
    Encode {
        /// Error of the encoder.
        source: serde_json::Error,
    },
}

impl From<sqlx::Error> for LibraryError {
    fn from(error: sqlx::Error) -> Self {
        match sojourn_database::failure(&error) {
            sojourn_database::Failure::Unreachable => Self::Unreachable(error),
            _ => Self::Database(error),
        }
    }
}
