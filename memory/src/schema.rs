//! The database schema: one migration per version and engine, each in its own transaction.

use crate::Error;
use sojourn_database::{Access, Connection, query};
use std::path::Path;

/// `SQLite` application id in the file header: "Sjrn".
const APPLICATION: i64 = 0x536a_726e;

/// The migration at index `n` upgrades version `n` to `n + 1`. Released migrations are immutable.
const SQLITE: &[&str] = &[
    include_str!("schema/sqlite/0001.sql"),
    include_str!("schema/sqlite/0002.sql"),
    include_str!("schema/sqlite/0003.sql"),
    include_str!("schema/sqlite/0004.sql"),
    include_str!("schema/sqlite/0005.sql"),
    include_str!("schema/sqlite/0006.sql"),
    include_str!("schema/sqlite/0007.sql"),
    include_str!("schema/sqlite/0008.sql"),
];

/// As [`SQLITE`]. The versions of the two engines are counted apart.
const POSTGRES: &[&str] =
    &[include_str!("schema/postgres/0001.sql"), include_str!("schema/postgres/0002.sql")];

/// Upgrades the database of a home to the newest schema version.
///
/// # Errors
/// [`Error::NewerSchema`] if the file is newer than this program, [`Error::NotAStore`] if it belongs to
/// another application.
pub(crate) async fn migrate_file(connection: &mut Connection<'_>, path: &Path) -> Result<(), Error> {
    let known = SQLITE.len() as i64;
    let found = number(connection, "PRAGMA user_version").await?;
    let application = number(connection, "PRAGMA application_id").await?;
    if application != APPLICATION
        && (found != 0 || number(connection, "SELECT count(*) FROM sqlite_schema").await? != 0)
    {
        return Err(Error::NotAStore { path: path.to_owned() });
    }
    if found > known {
        return Err(Error::NewerSchema { found, known });
    }
    for next in found..known {
        let mut transaction = connection.begin(Access::Write).await?;
        transaction.run(SQLITE[next as usize]).await?;
        let stamp = format!("PRAGMA application_id = {APPLICATION}");
        query(sqlx::AssertSqlSafe(stamp)).execute(&mut *transaction).await?;
        let stamp = format!("PRAGMA user_version = {}", next + 1);
        query(sqlx::AssertSqlSafe(stamp)).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Upgrades the schema of a server to the newest version. Only one process does, and the others wait for it.
///
/// # Errors
/// [`Error::NewerSchema`], [`Error::Encoding`].
pub(crate) async fn migrate_server(connection: &mut Connection<'_>) -> Result<(), Error> {
    let encoding: String = query("SHOW server_encoding").fetch_one(&mut *connection).await?.try_get(0)?;
    if encoding != "UTF8" {
        return Err(Error::Encoding { encoding });
    }
    let known = POSTGRES.len() as i64;
    if version(connection).await? == Some(known) {
        return Ok(());
    }
    let mut transaction = connection.begin(Access::Alone).await?;
    let found = version(&mut transaction).await?;
    if found.is_none() {
        transaction.run("CREATE SCHEMA IF NOT EXISTS sojourn").await?;
        transaction.run("CREATE TABLE schema_version (version BIGINT NOT NULL)").await?;
    }
    let found = found.unwrap_or(0);
    if found > known {
        return Err(Error::NewerSchema { found, known });
    }
    for next in found..known {
        transaction.run(POSTGRES[next as usize]).await?;
    }
    if found < known {
        transaction.run("DELETE FROM schema_version").await?;
        query("INSERT INTO schema_version VALUES (?)").bind(known).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// The version of a server's schema; `None` where there is none.
async fn version(connection: &mut Connection<'_>) -> Result<Option<i64>, Error> {
    let table =
        query("SELECT to_regclass('sojourn.schema_version')::text").fetch_one(&mut *connection).await?;
    if table.try_get::<Option<&str>, _>(0)?.is_none() {
        return Ok(None);
    }
    let row = query("SELECT version FROM sojourn.schema_version").fetch_optional(connection).await?;
    Ok(Some(row.as_ref().map_or(Ok(0), |row| row.try_get(0))?))
}

async fn number(connection: &mut Connection<'_>, sql: &'static str) -> Result<i64, Error> {
    Ok(query(sql).fetch_one(connection).await?.try_get(0)?)
}
