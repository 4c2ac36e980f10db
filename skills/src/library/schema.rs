//! The tables of a library, in a file or in a server.

use super::LibraryError;
use sojourn_database::{Access, Connection, Pool, Server, query};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;
use std::time::Duration;

/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Stored in the database. Increased when the tables change or an event kind is added.
const VERSION: i64 = 2;
/// As [`VERSION`], for the tables in a server.
const SERVER_VERSION: i64 = 1;

const DATABASE: &str = "library.db";
/// The schema of a server's database that has the tables.
const SCHEMA: &str = "sojourn_library";

const SQLITE: &str = include_str!("schema/sqlite.sql");
const POSTGRES: &str = include_str!("schema/postgres.sql");

/// Opens the tables in a folder, and creates them if they are missing.
pub(super) async fn open_file(dir: &Path) -> Result<Pool, LibraryError> {
    let options = options(dir)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Truncate)
        .synchronous(SqliteSynchronous::Full);
    let pool = pool(options).await?;
    let mut transaction = pool.begin(Access::Write).await?;
    check_version(&mut transaction).await?;
    transaction.run(SQLITE).await?;
    // A pragma cannot have bound parameters.
    transaction.run("PRAGMA user_version = 2").await?;
    transaction.commit().await?;
    Ok(pool)
}

/// Opens the tables in a folder without writing anything.
pub(super) async fn open_file_read_only(dir: &Path) -> Result<Pool, LibraryError> {
    if !dir.join(DATABASE).exists() {
        return Err(LibraryError::Missing { path: dir.to_owned() });
    }
    let pool = pool(options(dir).read_only(true)).await?;
    check_version(&mut pool.acquire().await?).await?;
    Ok(pool)
}

/// Opens the tables in a server, and creates them if they are missing.
pub(super) async fn open_server(server: &Server) -> Result<Pool, LibraryError> {
    let pool = Pool::to(server, SCHEMA, 1)?;
    let table = query("SELECT to_regclass('sojourn_library.schema_version')::text").fetch_one(&pool).await?;
    if table.try_get::<Option<&str>, _>(0)?.is_none() {
        let mut transaction = pool.begin(Access::Write).await?;
        transaction.run(POSTGRES).await?;
        transaction.commit().await?;
    }
    let found: i64 = query("SELECT version FROM schema_version").fetch_one(&pool).await?.try_get(0)?;
    if found > SERVER_VERSION {
        return Err(LibraryError::TooNew { found, known: SERVER_VERSION });
    }
    Ok(pool)
}

async fn pool(options: SqliteConnectOptions) -> Result<Pool, LibraryError> {
    Ok(Pool::Sqlite(SqlitePoolOptions::new().max_connections(1).connect_with(options).await?))
}

fn options(dir: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(dir.join(DATABASE)).busy_timeout(BUSY_TIMEOUT)
}

async fn check_version(connection: &mut Connection<'_>) -> Result<(), LibraryError> {
    let found: i64 = query("PRAGMA user_version").fetch_one(connection).await?.try_get(0)?;
    if found > VERSION {
        return Err(LibraryError::TooNew { found, known: VERSION });
    }
    Ok(())
}
