//! Statements.

use crate::postgres::numbered;
use crate::value::{Bind, Value};
use crate::{Connection, Pool, Row, Transaction, text};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Error, Postgres, SqlSafeStr, SqlStr, Sqlite};

// The futures of both engines are in every future here; boxed, they do not make those of all callers large.

/// A statement with its parameters. Its text has no `?` other than those of parameters.
#[derive(Debug)]
pub struct Query<'q> {
    sql: SqlStr,
    values: Vec<Value<'q>>,
}

/// What a statement has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    rows: u64,
}

/// Where a statement runs: on a connection, or on one of a pool.
#[derive(Debug)]
pub enum On<'e, 'c> {
    /// On any connection of the pool.
    Pool(&'e Pool),
    /// On this one.
    Connection(&'e mut Connection<'c>),
}

/// A statement.
pub fn query<'q>(sql: impl SqlSafeStr) -> Query<'q> {
    Query { sql: sql.into_sql_str(), values: Vec::new() }
}

impl Done {
    /// The number of rows that were inserted, changed or deleted.
    pub fn rows_affected(self) -> u64 {
        self.rows
    }
}

impl<'q> Query<'q> {
    /// Adds the value of the next parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Bind<'q>) -> Self {
        self.values.push(value.value());
        self
    }

    /// As [`bind`](Self::bind), for a value of any type.
    pub(crate) fn value(mut self, value: Value<'q>) -> Self {
        self.values.push(value);
        self
    }

    /// Runs the statement.
    pub fn execute<'e, 'c: 'e>(self, on: impl Into<On<'e, 'c>>) -> BoxFuture<'e, Result<Done, Error>>
    where
        'q: 'e,
    {
        let on = on.into();
        Box::pin(async move {
            let mut pooled = None;
            let rows = match open(on, &mut pooled).await? {
                Connection::Sqlite(link) => self.sqlite().execute(link.get()).await?.rows_affected(),
                Connection::Postgres(link) => self.postgres().execute(link.get()).await?.rows_affected(),
            };
            Ok(Done { rows })
        })
    }

    /// The first row.
    ///
    /// # Errors
    /// [`Error::RowNotFound`] where there is none.
    pub fn fetch_one<'e, 'c: 'e>(self, on: impl Into<On<'e, 'c>>) -> BoxFuture<'e, Result<Row, Error>>
    where
        'q: 'e,
    {
        let row = self.fetch_optional(on);
        Box::pin(async move { row.await?.ok_or(Error::RowNotFound) })
    }

    /// The first row, if there is one.
    pub fn fetch_optional<'e, 'c: 'e>(
        self,
        on: impl Into<On<'e, 'c>>,
    ) -> BoxFuture<'e, Result<Option<Row>, Error>>
    where
        'q: 'e,
    {
        let on = on.into();
        Box::pin(async move {
            let mut pooled = None;
            Ok(match open(on, &mut pooled).await? {
                Connection::Sqlite(link) => self.sqlite().fetch_optional(link.get()).await?.map(Row::Sqlite),
                Connection::Postgres(link) => {
                    self.postgres().fetch_optional(link.get()).await?.map(Row::Postgres)
                }
            })
        })
    }

    /// All rows.
    pub fn fetch_all<'e, 'c: 'e>(self, on: impl Into<On<'e, 'c>>) -> BoxFuture<'e, Result<Vec<Row>, Error>>
    where
        'q: 'e,
    {
        let on = on.into();
        Box::pin(async move {
            let mut pooled = None;
            Ok(match open(on, &mut pooled).await? {
                Connection::Sqlite(link) => {
                    self.sqlite().fetch_all(link.get()).await?.into_iter().map(Row::Sqlite).collect()
                }
                Connection::Postgres(link) => {
                    self.postgres().fetch_all(link.get()).await?.into_iter().map(Row::Postgres).collect()
                }
            })
        })
    }

    /// Passes the rows to `each` one by one, so that not all of them are in memory at once.
    ///
    /// # Errors
    /// The first error of the statement or of `each`.
    pub async fn fetch_each<E: From<Error>>(
        self,
        connection: &mut Connection<'_>,
        mut each: impl FnMut(Row) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        match connection {
            Connection::Sqlite(link) => {
                let query = self.sqlite();
                let mut rows = query.fetch(link.get());
                while let Some(row) = rows.try_next().await? {
                    each(Row::Sqlite(row))?;
                }
            }
            Connection::Postgres(link) => {
                let query = self.postgres();
                let mut rows = query.fetch(link.get());
                while let Some(row) = rows.try_next().await? {
                    each(Row::Postgres(row))?;
                }
            }
        }
        Ok(())
    }

    fn sqlite(self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        let query = sqlx::query::<Sqlite>(self.sql);
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Flag(value) => query.bind(value),
            Value::Text(value) => query.bind(value.map(std::borrow::Cow::into_owned)),
            Value::Bytes(value) => query.bind(value.map(std::borrow::Cow::into_owned)),
            Value::Stored(value) => query.bind(value.into_owned()),
        })
    }

    fn postgres(self) -> sqlx::query::Query<'static, Postgres, PgArguments> {
        let query = sqlx::query::<Postgres>(numbered(self.sql));
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Flag(value) => query.bind(value),
            Value::Text(value) => query.bind(value.map(|text| text::stored(text).into_owned())),
            Value::Bytes(value) => query.bind(value.map(std::borrow::Cow::into_owned)),
            Value::Stored(value) => query.bind(value.into_owned().into_bytes()),
        })
    }
}

/// The connection to run on; one of the pool is kept in `pooled` meanwhile.
async fn open<'e, 'c: 'e>(
    on: On<'e, 'c>,
    pooled: &'e mut Option<Connection<'c>>,
) -> Result<&'e mut Connection<'c>, Error> {
    match on {
        On::Connection(connection) => Ok(connection),
        On::Pool(pool) => Ok(pooled.insert(Box::pin(pool.acquire()).await?)),
    }
}

impl<'e> From<&'e Pool> for On<'e, 'static> {
    fn from(pool: &'e Pool) -> Self {
        Self::Pool(pool)
    }
}

impl<'e, 'c> From<&'e mut Connection<'c>> for On<'e, 'c> {
    fn from(connection: &'e mut Connection<'c>) -> Self {
        Self::Connection(connection)
    }
}

impl<'e, 'c> From<&'e mut Transaction<'c>> for On<'e, 'c> {
    fn from(transaction: &'e mut Transaction<'c>) -> Self {
        Self::Connection(transaction)
    }
}
