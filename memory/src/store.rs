use crate::{Error, schema};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A home directory's database: runs, their records, blobs and memories. Cheap to clone.
///
/// Any number of processes may have the same home open; `SQLite` lets them write in turn.
#[derive(Debug, Clone)]
pub struct Store {
    home: PathBuf,
    pub(crate) pool: SqlitePool,
}

impl Store {
    /// Opens `<home>/sojourn.db`, creating the directory and the database if need be and bringing an older
    /// schema up to date.
    ///
    /// # Errors
    /// [`Error::NewerSchema`] and [`Error::NotAStore`] leave the file as it was.
    pub async fn open(home: impl AsRef<Path>) -> Result<Self, Error> {
        let home = home.as_ref().to_owned();
        let _opening = lock_while_opening(&home).await?;
        let path = home.join("sojourn.db");
        let mut connection = options(&home).connect().await?;
        schema::migrate(&mut connection, &path).await?;
        connection.close().await?;
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .min_connections(0)
            .connect_with(options(&home))
            .await?;
        Ok(Self { home, pool })
    }

    /// The directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Waits for reads under way and closes the database; without it, dropping does the same later.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// How many bytes the database takes, what waits in its write-ahead log aside.
    pub async fn size(&self) -> Result<u64, Error> {
        let row = sqlx::query("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
            .fetch_one(&self.pool)
            .await?;
        Ok(row.try_get::<i64, _>(0)? as u64)
    }

    /// A connection of a writer's own, so that readers never wait behind its transactions.
    pub(crate) async fn connection(&self) -> Result<SqliteConnection, Error> {
        Ok(options(&self.home).connect().await?)
    }
}

fn options(home: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(home.join("sojourn.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Every commit is flushed to the disk: what was committed survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(30))
        // What is forgotten is overwritten.
        .pragma("secure_delete", "on")
        .disable_statement_logging()
}

/// Two processes that create or migrate the same database take turns.
async fn lock_while_opening(home: &Path) -> Result<File, Error> {
    let locks = home.join("locks");
    let path = locks.join("open.lock");
    let lock = tokio::task::spawn_blocking(move || {
        let io = |source| Error::Io { path: path.clone(), source };
        fs::create_dir_all(&locks).map_err(io)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        file.lock().map_err(io)?;
        Ok(file)
    });
    lock.await.map_err(|error| Error::Io { path: home.to_owned(), source: error.into() })?
}
