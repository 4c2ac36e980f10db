use crate::{BlobId, EventSeq, MemoryId, RunId};
use sojourn_database::Failure;
use std::path::PathBuf;

/// An error of the store, its log, its blobs or its memories.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A newer version of this program wrote the database.
    #[error(
        "the store has schema version {found}, but this program supports versions up to {known}; upgrade sojourn"
    )]
    NewerSchema {
        /// The schema version of the file.
        found: i64,
        /// The newest schema version that this program supports.
        known: i64,
    },
    /// Another application's database has the name of the store.
    #[error("`{}` is not a Sojourn store", path.display())]
    NotAStore {
        /// Path of the database.
        path: PathBuf,
    },
    /// The path of the database is longer than `SQLite` can open.
    #[error("the path `{}` has {length} bytes; the database can only be opened below {limit}", path.display())]
    PathTooLong {
        /// Path of the database, absolute.
        path: PathBuf,
        /// Its length, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Another writer holds the run's lock, in this process or in another one.
    #[error("run `{run}` is being written by another process")]
    Locked {
        /// The locked run.
        run: RunId,
    },
    /// The run ends before the record that its head file names: records were cut off its end, or an older copy
    /// of the database was put in its place.
    #[error(
        "run `{run}` ends at record {last}, but record {known} was written: records are missing at its end"
    )]
    Cut {
        /// The run.
        run: RunId,
        /// The last record in the database.
        last: EventSeq,
        /// The last record according to the head file.
        known: EventSeq,
    },
    /// Another process took the run over while this one was stopped, cut off or slow. What this one has not yet committed is lost, and
    /// the run goes on there.
    #[error("run `{run}` was taken over by another process; this one writes nothing more")]
    Fenced {
        /// The run.
        run: RunId,
    },
    /// Another process is collecting garbage, which excludes all writers.
    #[error("another process is collecting garbage; try again when it has finished")]
    Collecting,
    /// No run has this id, or an id that starts with it.
    #[error("no run `{name}`{}", did_you_mean(nearest.as_ref()))]
    NoSuchRun {
        /// The id or prefix that the caller gave, cut to 80 characters.
        name: String,
        /// The most similar run id (Jaro-Winkler), if one is similar enough.
        nearest: Option<RunId>,
    },
    /// Several run ids start with this prefix.
    #[error("`{name}` matches {} runs: {}", matches.len(), listed(matches))]
    AmbiguousRun {
        /// The prefix that the caller gave.
        name: String,
        /// All runs whose id starts with it.
        matches: Vec<RunId>,
    },
    /// Another run has this id already.
    #[error("run `{run}` exists already")]
    RunExists {
        /// The id that is taken.
        run: RunId,
    },
    /// Another schedule has this name.
    #[error("there is a schedule `{name}` already")]
    ScheduleExists {
        /// The name that is taken.
        name: String,
    },
    /// No schedule has this name.
    #[error("no schedule `{name}`{}", nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    NoSuchSchedule {
        /// The name that the caller gave, cut to 80 characters.
        name: String,
        /// The most similar name (Jaro-Winkler), if one is similar enough.
        nearest: Option<String>,
    },
    /// No question has this id.
    #[error("no approval `{id}`")]
    NoSuchApproval {
        /// The id that the caller gave, cut to 80 characters.
        id: String,
    },
    /// The sequence number is past the end of the run, or 0.
    #[error("run `{run}` has no record {seq}; the last one is {last}")]
    NoSuchRecord {
        /// The run that was read.
        run: RunId,
        /// The sequence number that the caller gave.
        seq: EventSeq,
        /// The last record of the run.
        last: EventSeq,
    },
    /// The text is not a valid run id.
    #[error("`{text}` is not a run id: use 1 to 64 of `a-z`, `0-9` and `-`, starting with a letter or digit")]
    BadRunId {
        /// The rejected text, cut to 80 characters.
        text: String,
    },
    /// The text is not a SHA-256 in hexadecimal.
    #[error("`{text}` is not a SHA-256; give 64 hexadecimal digits")]
    BadHash {
        /// The rejected text.
        text: String,
    },
    /// A JSON payload exceeds the nesting limit.
    #[error("the payload nests deeper than {limit} levels")]
    TooDeep {
        /// The largest allowed depth.
        limit: usize,
    },
    /// The store has no blob with this address.
    #[error("no blob `{blob}`")]
    UnknownBlob {
        /// The address that was looked up.
        blob: BlobId,
    },
    /// The blob was deleted because it quoted a memory that was forgotten.
    #[error("the content of blob `{blob}` was deleted together with a forgotten memory")]
    ForgottenBlob {
        /// The address that was looked up.
        blob: BlobId,
    },
    /// Stored data is not what was written: a bad checksum, a bad hash or an unreadable row.
    #[error("{place} is damaged: {what}")]
    Damaged {
        /// The damaged item, such as "record 17 of run `…`".
        place: String,
        /// What the check found.
        what: String,
    },
    /// The tenant has no memory with this id.
    #[error("no memory `{id}`")]
    NoSuchMemory {
        /// The id that was looked up.
        id: MemoryId,
    },
    /// A field of a new memory is out of range.
    #[error("invalid memory: {what}")]
    BadMemory {
        /// The rule that the memory breaks.
        what: &'static str,
    },
    /// A memory with this id exists and has another text.
    #[error("memory `{id}` exists already with another text")]
    MemoryExists {
        /// The id that is taken.
        id: MemoryId,
    },
    /// The vector has no direction: it is empty, all zero, or holds a number that is not finite.
    #[error("invalid vector: {what}")]
    BadVector {
        /// The rule that the vector breaks.
        what: &'static str,
    },
    /// The vector's length differs from the dimension of its model.
    #[error("vectors of `{model}` have {expected} dimensions, but this one has {found}")]
    Dimension {
        /// Name of the embedding model.
        model: String,
        /// The model's dimension.
        expected: usize,
        /// Length of the rejected vector.
        found: usize,
    },
    /// The embedding model failed.
    #[error("the embedding model `{model}` failed: {what}")]
    Embedding {
        /// Name of the embedding model.
        model: String,
        /// The reason that the model reports.
        what: String,
    },
    /// The vector index does not work at the moment. No data is lost: the index catches up from the tables
    /// later.
    #[error("the vector index is unavailable: {what}")]
    IndexUnavailable {
        /// The reason that the index reports.
        what: String,
    },
    /// The disk has no free space. The transaction was rolled back; the caller can repeat the call.
    #[error("the disk is full")]
    DiskFull,
    /// Another process kept the database locked past the timeout of 30 s. The caller can repeat the call.
    #[error("another process kept the database locked for too long; try again")]
    Busy,
    /// The server cannot be reached, or ended the connection. The caller can repeat the call.
    #[error("the store's server cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// A copy into the store was not finished: it has a part of what it is a copy of.
    #[error(
        "`{place}` is an unfinished copy of another store; `sojourn store copy` with the same FROM and TO finishes it"
    )]
    UnfinishedCopy {
        /// The home, or the address without its password.
        place: String,
    },
    /// Only a store in a server has a queue.
    #[error("a queue of runs needs a store that several machines can reach")]
    NoServer,
    /// The server's database has another encoding than UTF-8.
    #[error(
        "the store's database has the encoding {encoding}; create it with `createdb --encoding UTF8 --template template0`"
    )]
    Encoding {
        /// Its encoding.
        encoding: String,
    },
    /// The database file or its directory is not writable.
    #[error("the database is read-only")]
    ReadOnly,
    /// The operating system could not open, read or write a file of the store.
    #[error("cannot access `{}`", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// Any other error of the database.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::ColumnDecode { index, source } = &error {
            return Self::Damaged { place: format!("column {index}"), what: source.to_string() };
        }
        match sojourn_database::failure(&error) {
            Failure::Busy => Self::Busy,
            Failure::ReadOnly => Self::ReadOnly,
            Failure::Damaged => Self::Damaged { place: "the database".to_owned(), what: error.to_string() },
            Failure::DiskFull => Self::DiskFull,
            Failure::Unreachable => Self::Unreachable(error),
            Failure::Other => Self::Database(error),
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
