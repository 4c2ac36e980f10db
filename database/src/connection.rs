//! Connections and transactions.

use crate::{Engine, postgres};
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Database, Error, PgConnection, Postgres, Sqlite, SqliteConnection};
use std::ops::{Deref, DerefMut};

/// A connection to a database of either engine, or a transaction on one.
#[derive(Debug)]
pub enum Connection<'c> {
    /// To `SQLite`.
    Sqlite(Link<'c, Sqlite>),
    /// To `PostgreSQL`.
    Postgres(Link<'c, Postgres>),
}

/// How a connection is held. Boxed, because futures that hold one would be large.
#[derive(Debug)]
pub enum Link<'c, DB: Database> {
    /// By its only owner.
    Own(Box<DB::Connection>),
    /// Until it is given back.
    Pooled(Box<PoolConnection<DB>>),
    /// Within a transaction.
    Within(Box<sqlx::Transaction<'c, DB>>),
}

/// Who else may write while a transaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Others that append: what must not happen at the same time, this transaction keeps out by locks on rows.
    Append,
    /// Others that append, but no other writer.
    Write,
    /// Nobody.
    Alone,
}

/// A transaction that writes. Dropping it undoes it.
#[derive(Debug)]
pub struct Transaction<'c>(Connection<'c>);

impl Connection<'_> {
    /// The engine.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Begins a transaction that writes.
    pub async fn begin(&mut self, access: Access) -> Result<Transaction<'_>, Error> {
        Ok(match self {
            Self::Sqlite(link) => {
                Transaction::sqlite(Box::pin(link.get().begin_with("BEGIN IMMEDIATE")).await?)
            }
            Self::Postgres(link) => {
                Transaction::postgres(Box::pin(link.get().begin_with(postgres::begin(access))).await?)
            }
        })
    }

    /// Runs a script of several statements without parameters.
    pub async fn run(&mut self, script: &'static str) -> Result<(), Error> {
        match self {
            Self::Sqlite(link) => Box::pin(sqlx::raw_sql(script).execute(link.get())).await.map(|_| ()),
            Self::Postgres(link) => Box::pin(sqlx::raw_sql(script).execute(link.get())).await.map(|_| ()),
        }
    }

    /// Closes a connection that this caller alone owns, and gives back any other.
    pub async fn close(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(Link::Own(connection)) => Box::pin(connection.close()).await,
            Self::Postgres(Link::Own(connection)) => Box::pin(connection.close()).await,
            _ => Ok(()),
        }
    }
}

impl<DB: Database> Link<'_, DB> {
    pub(crate) fn get(&mut self) -> &mut DB::Connection {
        match self {
            Self::Own(connection) => connection,
            Self::Pooled(connection) => connection,
            Self::Within(transaction) => transaction,
        }
    }
}

impl<'c> Transaction<'c> {
    pub(crate) fn sqlite(transaction: sqlx::Transaction<'c, Sqlite>) -> Self {
        Self(Connection::Sqlite(Link::Within(Box::new(transaction))))
    }

    pub(crate) fn postgres(transaction: sqlx::Transaction<'c, Postgres>) -> Self {
        Self(Connection::Postgres(Link::Within(Box::new(transaction))))
    }

    /// Makes its changes durable.
    ///
    /// # Errors
    /// After an error of a connection that was lost, it is not known whether they are.
    pub async fn commit(self) -> Result<(), Error> {
        match self.0 {
            Connection::Sqlite(Link::Within(transaction)) => Box::pin(transaction.commit()).await,
            Connection::Postgres(Link::Within(transaction)) => Box::pin(transaction.commit()).await,
            _ => Ok(()),
        }
    }

    /// Undoes its changes.
    pub async fn rollback(self) -> Result<(), Error> {
        match self.0 {
            Connection::Sqlite(Link::Within(transaction)) => Box::pin(transaction.rollback()).await,
            Connection::Postgres(Link::Within(transaction)) => Box::pin(transaction.rollback()).await,
            _ => Ok(()),
        }
    }
}

impl<'c> Deref for Transaction<'c> {
    type Target = Connection<'c>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl From<SqliteConnection> for Connection<'_> {
    fn from(connection: SqliteConnection) -> Self {
        Self::Sqlite(Link::Own(Box::new(connection)))
    }
}

impl From<PgConnection> for Connection<'_> {
    fn from(connection: PgConnection) -> Self {
        Self::Postgres(Link::Own(Box::new(connection)))
    }
}
