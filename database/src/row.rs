//! Rows of a result.

use crate::text;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Error, Postgres, Row as _, Sqlite, Type};

/// A row of a result.
#[derive(Debug)]
pub enum Row {
    /// Of `SQLite`.
    Sqlite(SqliteRow),
    /// Of `PostgreSQL`.
    Postgres(PgRow),
}

/// What a column can be read as: `i64`, `f64`, `bool`, text, bytes, and options of these.
pub trait Column<'r>: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> {}

impl<'r, T> Column<'r> for T where T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{}

impl Row {
    /// The column with this name or index, from 0.
    ///
    /// # Errors
    /// [`Error::ColumnDecode`] where the column has another type, [`Error::ColumnNotFound`].
    pub fn try_get<'r, T, I>(&'r self, index: I) -> Result<T, Error>
    where
        T: Column<'r>,
        I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => row.try_get(index),
        }
    }

    /// As [`text`](Self::text), of a column that may be null.
    ///
    /// # Errors
    /// As [`try_get`](Self::try_get).
    pub fn optional_text<I>(&self, index: I) -> Result<Option<String>, Error>
    where
        I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => {
                row.try_get::<Option<String>, _>(index).map(|text| text.map(text::original))
            }
        }
    }

    /// A column with any text, also one with NUL characters; of those, [`try_get`](Self::try_get) gives another spelling.
    ///
    /// # Errors
    /// As [`try_get`](Self::try_get).
    pub fn text<I>(&self, index: I) -> Result<String, Error>
    where
        I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => row.try_get(index).map(text::original),
        }
    }
}
