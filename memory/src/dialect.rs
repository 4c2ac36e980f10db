//! What differs between the engines. Every other statement is written once and runs on both.

mod postgres;
mod sqlite;

use sojourn_database::Engine;

/// The statements of one engine, where the engines need different ones.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The bytes of the database.
    pub(crate) size: &'static str,
    /// Gives back the room of deleted rows.
    pub(crate) shrink: &'static str,
    /// A page of records as one value, in the layout of `log/rows.rs`. Parameters: the run's row, first and last record, limit.
    pub(crate) page_of_records: &'static str,
    /// Deletes the row of a run that has no record. Parameters: the run's id, and who asks.
    pub(crate) delete_empty_run: &'static str,
    /// The end of a query for memories that contain words: an excerpt with the found words between brackets, or null where this
    /// program is to cut it. Parameters: the words by `search_terms`, the tenant, the limit.
    pub(crate) search: &'static str,
    /// The words as `search` takes them.
    pub(crate) search_terms: fn(&[String]) -> String,
    /// Indexes the words of a memory, where the tables do not do that by themselves. Parameters: the memory's row, and the
    /// words as a JSON list.
    pub(crate) index_words: Option<&'static str>,
    /// Indexes all texts again, where the tables can do that by themselves.
    pub(crate) rebuild_words: Option<&'static str>,
    /// The columns that hold texts: tables and columns.
    pub(crate) texts: &'static str,
    /// Moves what was written into the file where deleted text must not be found. Returns 0 when all of it is there.
    pub(crate) checkpoint: Option<&'static str>,
}

impl Dialect {
    pub(crate) fn of(engine: Engine) -> &'static Self {
        match engine {
            Engine::Sqlite => &sqlite::DIALECT,
            Engine::Postgres => &postgres::DIALECT,
        }
    }
}
