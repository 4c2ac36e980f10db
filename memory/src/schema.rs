//! The database schema: one migration per version, each in its own transaction.

use crate::Error;
use sqlx::{Connection, Row, SqliteConnection};
use std::path::Path;

/// `SQLite` application id in the file header: "Sjrn".
const APPLICATION: i64 = 0x536a_726e;

/// The migration at index `n` upgrades version `n` to `n + 1`. Released migrations are immutable.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
    include_str!("schema/0007.sql"),
];

/// Upgrades the database to the newest schema version.
///
/// # Errors
/// [`Error::NewerSchema`] if the file is newer than this program, [`Error::NotAStore`] if it belongs to
/// another application.
pub(crate) async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), Error> {
    let known = MIGRATIONS.len() as i64;
    let found = version(connection).await?;
    let application = pragma(connection, "PRAGMA application_id").await?;
    if application != APPLICATION && (found != 0 || tables(connection).await? != 0) {
        return Err(Error::NotAStore { path: path.to_owned() });
    }
    if found > known {
        return Err(Error::NewerSchema { found, known });
    }
    for next in found..known {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(MIGRATIONS[next as usize]).execute(&mut *transaction).await?;
        let stamp = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {}", next + 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(stamp)).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, Error> {
    pragma(connection, "PRAGMA user_version").await
}

async fn tables(connection: &mut SqliteConnection) -> Result<i64, Error> {
    pragma(connection, "SELECT count(*) FROM sqlite_schema").await
}

async fn pragma(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, Error> {
    Ok(sqlx::query(sql).fetch_one(connection).await?.try_get(0)?)
}
