use crate::{BlobId, EventSeq, MemoryId, RunId};
use std::path::PathBuf;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file was written by a newer version of this program.
    #[error("the store has schema version {found}, this program knows versions up to {known}: upgrade it")]
    NewerSchema {
        /// In the file.
        found: i64,
        /// The newest this program understands.
        known: i64,
    },
    /// There is a database of something else in its place.
    #[error("`{}` is not a Sojourn store", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// Somebody is writing this run already: this process or another.
    #[error("run `{run}` is being written by another process")]
    Locked {
        /// The run.
        run: RunId,
    },
    /// What no run refers to is being removed at this moment.
    #[error("the log is being collected by another process")]
    Collecting,
    /// There is no run of that name.
    #[error("no run `{name}`{}", did_you_mean(nearest.as_ref()))]
    NoSuchRun {
        /// What was asked for.
        name: String,
        /// The run whose id is spelt most alike.
        nearest: Option<RunId>,
    },
    /// Several runs begin with that.
    #[error("`{name}` could be any of {} runs: {}", matches.len(), listed(matches))]
    AmbiguousRun {
        /// What was asked for.
        name: String,
        /// The runs that begin with it.
        matches: Vec<RunId>,
    },
    /// The id of a new run is taken.
    #[error("there is a run `{run}` already")]
    RunExists {
        /// The id.
        run: RunId,
    },
    /// A run has no such record.
    #[error("run `{run}` has no record {seq}: its last is {last}")]
    NoSuchRecord {
        /// The run.
        run: RunId,
        /// What was asked for.
        seq: EventSeq,
        /// What there is.
        last: EventSeq,
    },
    /// A text that cannot be the id of a run.
    #[error("`{text}` is not a run id: 1 to 64 of `a-z`, `0-9` and `-`, beginning with a letter or digit")]
    BadRunId {
        /// The text.
        text: String,
    },
    /// A text that is not a SHA-256.
    #[error("`{text}` is not a hash: 64 hexadecimal digits")]
    BadHash {
        /// The text.
        text: String,
    },
    /// A payload nests deeper than any reader would follow.
    #[error("the payload nests deeper than {limit} levels")]
    TooDeep {
        /// How deep is allowed.
        limit: usize,
    },
    /// A record refers to a blob, or one is asked for, that was never stored.
    #[error("no blob `{blob}`")]
    UnknownBlob {
        /// Its address.
        blob: BlobId,
    },
    /// The content was removed together with a memory that it quoted.
    #[error("the content of blob `{blob}` was forgotten")]
    ForgottenBlob {
        /// Its address.
        blob: BlobId,
    },
    /// Something that is stored is not what was written.
    #[error("{place} is damaged: {what}")]
    Damaged {
        /// Where: "record 17 of run `…`".
        place: String,
        /// What was found.
        what: String,
    },
    /// There is no memory of that id.
    #[error("no memory `{id}`")]
    NoSuchMemory {
        /// What was asked for.
        id: MemoryId,
    },
    /// A memory that cannot be kept.
    #[error("the memory is not acceptable: {what}")]
    BadMemory {
        /// What is demanded of it.
        what: &'static str,
    },
    /// The same record's memory is there with another text.
    #[error("memory `{id}` is there already with another text")]
    MemoryExists {
        /// Its id.
        id: MemoryId,
    },
    /// A vector that no similarity can be taken of.
    #[error("the vector is not acceptable: {what}")]
    BadVector {
        /// What is demanded of it.
        what: &'static str,
    },
    /// A vector of another length than the model's.
    #[error("vectors of `{model}` have {expected} numbers, this one has {found}")]
    Dimension {
        /// The model.
        model: String,
        /// Of its vectors.
        expected: usize,
        /// Of this one.
        found: usize,
    },
    /// A model could not make vectors of texts.
    #[error("the model `{model}` could not embed: {what}")]
    Embedding {
        /// The model.
        model: String,
        /// Why.
        what: String,
    },
    /// The vector index cannot be used now. Nothing is lost: it catches up from the tables later.
    #[error("the vector index cannot be used: {what}")]
    IndexUnavailable {
        /// Why.
        what: String,
    },
    /// There is no room on the disk. Nothing was half-written; the call can be repeated.
    #[error("the disk is full")]
    DiskFull,
    /// Another process kept the database locked for too long. The call can be repeated.
    #[error("the database stayed busy for too long")]
    Busy,
    /// The database cannot be written.
    #[error("the database is read-only")]
    ReadOnly,
    /// A file of the store could not be used.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database failed in another way.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::ColumnDecode { index, source } = &error {
            return Self::Damaged { place: format!("column {index}"), what: source.to_string() };
        }
        // The low byte of SQLite's extended result code is the kind of failure.
        let kind = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<u32>().ok())
            .map(|code| code & 0xff);
        match kind {
            Some(5 | 6) => Self::Busy,
            Some(8) => Self::ReadOnly,
            Some(11 | 26) => Self::Damaged { place: "the database".to_owned(), what: error.to_string() },
            Some(13) => Self::DiskFull,
            _ => Self::Database(error),
        }
    }
}

fn did_you_mean(nearest: Option<&RunId>) -> String {
    nearest.map(|run| format!("; did you mean `{run}`?")).unwrap_or_default()
}

fn listed(runs: &[RunId]) -> String {
    let shown: Vec<_> = runs.iter().take(5).map(|run| format!("`{run}`")).collect();
    let rest = if runs.len() > shown.len() { ", …" } else { "" };
    shown.join(", ") + rest
}
