use crate::memories::refresh_words;
use crate::{Error, schema};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Handle to the database of a home directory: runs, records, blobs and memories. Cheap to clone.
///
/// Any number of processes can open the same home; `SQLite` serialises their writes.
#[derive(Debug, Clone)]
pub struct Store {
    home: PathBuf,
    pub(crate) pool: SqlitePool,
}

impl Store {
    /// Opens `<home>/sojourn.db`. Creates the directory and the database if they are missing, and migrates an
    /// older schema.
    ///
    /// # Errors
    /// [`Error::NewerSchema`] and [`Error::NotAStore`]; both leave the file unchanged. [`Error::PathTooLong`].
    pub async fn open(home: impl AsRef<Path>) -> Result<Self, Error> {
        let home = home.as_ref().to_owned();
        let path = home.join("sojourn.db");
        check_length(&path)?;
        let _opening = lock_while_opening(&home).await?;
        let mut connection = options(&home).connect().await?;
        schema::migrate(&mut connection, &path).await?;
        refresh_words(&mut connection).await?;
        connection.close().await?;
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .min_connections(0)
            .connect_with(options(&home))
            .await?;
        Ok(Self { home, pool })
    }

    /// The home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Waits for running queries and closes the database. Dropping the last clone closes it in the
    /// background.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// Size of the database file in bytes, without the write-ahead log.
    pub async fn size(&self) -> Result<u64, Error> {
        database_size(&mut *self.pool.acquire().await?).await
    }

    /// Opens a separate connection for a writer, so that readers never wait for its transactions.
    pub(crate) async fn connection(&self) -> Result<SqliteConnection, Error> {
        Ok(options(&self.home).connect().await?)
    }
}

/// Size of the database file in bytes, without the write-ahead log.
pub(crate) async fn database_size(connection: &mut SqliteConnection) -> Result<u64, Error> {
    let row = sqlx::query("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<i64, _>(0)? as u64)
}

/// `SQLite` opens no path of more than 512 bytes, its own suffixes included, and does not say so. Other databases of the home
/// have somewhat longer paths than this one.
fn check_length(path: &Path) -> Result<(), Error> {
    const LIMIT: usize = 480;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let length = path.as_os_str().len();
    if length <= LIMIT { Ok(()) } else { Err(Error::PathTooLong { path, length, limit: LIMIT }) }
}

fn options(home: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(home.join("sojourn.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Every commit is synced to disk and survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(30))
        // `SQLite` overwrites deleted content with zeros.
        .pragma("secure_delete", "on")
        .disable_statement_logging()
}

/// Creates a directory and those above it, for this user alone: a log holds what pages and programs have shown. What exists stays as
/// it is.
fn create_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Serialises creation and migration of the database between processes.
async fn lock_while_opening(home: &Path) -> Result<File, Error> {
    let locks = home.join("locks");
    // Not `.lock`, as those of runs: a run may have any name.
    let path = locks.join("home.open");
    let lock = tokio::task::spawn_blocking(move || {
        let io = |source| Error::Io { path: path.clone(), source };
        create_private(&locks).map_err(io)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        file.lock().map_err(io)?;
        Ok(file)
    });
    lock.await.map_err(|error| Error::Io { path: home.to_owned(), source: error.into() })?
}
