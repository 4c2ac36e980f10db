//! Pools of connections.

use crate::connection::Link;
use crate::{Access, Connection, Server, Transaction, postgres};
use sqlx::{Error, PgPool, SqlitePool};

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// `SQLite`: a file of this machine.
    Sqlite,
    /// `PostgreSQL`: a server that several machines share.
    Postgres,
}

/// Connections to one database. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Pool {
    /// To `SQLite`.
    Sqlite(SqlitePool),
    /// To `PostgreSQL`.
    Postgres(PgPool),
}

impl Pool {
    /// At most `most` connections to a server, opened when they are needed. Tables without a schema's name are those of `schema`.
    ///
    /// # Errors
    /// The address is wrong. The server is not asked yet.
    pub fn to(server: &Server, schema: &str, most: u32) -> Result<Self, Error> {
        Ok(Self::Postgres(postgres::pool(server, schema, most)?))
    }

    /// The engine.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// A connection, as soon as one is free.
    pub async fn acquire(&self) -> Result<Connection<'static>, Error> {
        Ok(match self {
            Self::Sqlite(pool) => Connection::Sqlite(Link::Pooled(Box::new(Box::pin(pool.acquire()).await?))),
            Self::Postgres(pool) => {
                Connection::Postgres(Link::Pooled(Box::new(Box::pin(pool.acquire()).await?)))
            }
        })
    }

    /// Begins a transaction that writes, on a connection of the pool.
    pub async fn begin(&self, access: Access) -> Result<Transaction<'static>, Error> {
        Ok(match self {
            Self::Sqlite(pool) => Transaction::sqlite(Box::pin(pool.begin_with("BEGIN IMMEDIATE")).await?),
            Self::Postgres(pool) => {
                Transaction::postgres(Box::pin(pool.begin_with(postgres::begin(access))).await?)
            }
        })
    }

    /// Waits for queries under way and closes all connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
