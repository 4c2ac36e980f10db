use crate::copy::check_finished;
use crate::dialect::Dialect;
use crate::memories::refresh_words;
use crate::{Error, Owner, schema};
use sojourn_database::{Connection, Pool, Server, query};
use sojourn_primitives::{create_private_dir, create_private_file, make_private};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The schema of a server's database that has the tables.
pub(crate) const SCHEMA: &str = "sojourn";
/// Connections of one process at the same time, besides those of its writers.
const CONNECTIONS: u32 = 4;

/// Handle to the tables of runs, records, blobs and memories: in the home directory's own database, or in a server that several
/// machines share. Cheap to clone.
///
/// Any number of processes can open the same store; the database serialises their writes.
#[derive(Debug, Clone)]
pub struct Store {
    home: PathBuf,
    pub(crate) pool: Pool,
    /// `None`: the tables are in the home.
    remote: Option<Arc<Remote>>,
}

#[derive(Debug)]
struct Remote {
    server: Server,
    owner: Owner,
}

impl Store {
    /// Opens `<home>/sojourn.db`. Creates the directory and the database if they are missing, and migrates an
    /// older schema.
    ///
    /// # Errors
    /// [`Error::NewerSchema`] and [`Error::NotAStore`]; both leave the file unchanged. [`Error::PathTooLong`],
    /// [`Error::UnfinishedCopy`].
    pub async fn open(home: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_for(home, false).await
    }

    /// As [`open`](Self::open), also where a copy into it is not finished: for whoever finishes it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_target(home: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_for(home, true).await
    }

    async fn open_for(home: impl AsRef<Path>, copying: bool) -> Result<Self, Error> {
        let home = home.as_ref().to_owned();
        let path = home.join("sojourn.db");
        check_length(&path)?;
        let _opening = lock_while_opening(&home).await?;
        // The engine gives its other files the mode of this one.
        create_private_file(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        keep_private(&home);
        let mut connection = Connection::from(options(&home).connect().await?);
        schema::migrate_file(&mut connection, &path).await?;
        if !copying {
            check_finished(&mut connection, &home.display().to_string()).await?;
        }
        refresh_words(&mut connection).await?;
        connection.close().await?;
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .min_connections(0)
            .connect_with(options(&home))
            .await?;
        Ok(Self { home, pool: Pool::Sqlite(pool), remote: None })
    }

    /// Opens the tables in the database of a server, and creates or migrates them. The home has what is this machine's own: files that
    /// are derived from the tables, and temporary ones. `owner` is who writes runs through this store.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::NewerSchema`], [`Error::Encoding`], [`Error::UnfinishedCopy`].
    pub async fn connect(home: impl AsRef<Path>, server: &Server, owner: Owner) -> Result<Self, Error> {
        Self::connect_for(home, server, owner, false).await
    }

    /// As [`connect`](Self::connect), also where a copy into it is not finished: for whoever finishes it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_target(
        home: impl AsRef<Path>,
        server: &Server,
        owner: Owner,
    ) -> Result<Self, Error> {
        Self::connect_for(home, server, owner, true).await
    }

    async fn connect_for(
        home: impl AsRef<Path>,
        server: &Server,
        owner: Owner,
        copying: bool,
    ) -> Result<Self, Error> {
        let home = home.as_ref().to_owned();
        create_private_dir(&home).map_err(|source| Error::Io { path: home.clone(), source })?;
        keep_private(&home);
        let mut connection = server.connect(SCHEMA).await?;
        schema::migrate_server(&mut connection).await?;
        if !copying {
            check_finished(&mut connection, &server.to_string()).await?;
        }
        refresh_words(&mut connection).await?;
        connection.close().await?;
        let pool = Pool::to(server, SCHEMA, CONNECTIONS)?;
        Ok(Self { home, pool, remote: Some(Arc::new(Remote { server: server.clone(), owner })) })
    }

    /// The home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The server that the tables are in; `None` where they are in the home.
    pub fn server(&self) -> Option<&Server> {
        self.remote.as_ref().map(|remote| &remote.server)
    }

    /// The directory for files that are derived from the tables: the home, or of a server's store a directory in it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn derived(&self) -> Result<PathBuf, Error> {
        match &self.remote {
            None => Ok(self.home.clone()),
            Some(_) => Ok(self.home.join("stores").join(hex::encode(self.id().await?))),
        }
    }

    /// The server.
    ///
    /// # Errors
    /// [`Error::NoServer`] where the tables are in the home.
    pub(crate) fn needs_server(&self) -> Result<&Server, Error> {
        self.server().ok_or(Error::NoServer)
    }

    /// Who writes runs of a server through this store.
    pub(crate) fn owner(&self) -> Option<&Owner> {
        self.remote.as_ref().map(|remote| &remote.owner)
    }

    /// The home where the tables are in it: it has the locks and the heads of their runs.
    pub(crate) fn own_home(&self) -> Option<&Path> {
        self.remote.is_none().then_some(self.home.as_path())
    }

    /// Waits for running queries and closes the database. Dropping the last clone closes it in the
    /// background.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// Size of the database in bytes, without the write-ahead log.
    pub async fn size(&self) -> Result<u64, Error> {
        self.size_through(&mut self.pool.acquire().await?).await
    }

    /// As [`size`](Self::size), through this connection.
    pub(crate) async fn size_through(&self, connection: &mut Connection<'_>) -> Result<u64, Error> {
        let row = query(self.dialect().size).fetch_one(connection).await?;
        Ok(row.try_get::<i64, _>(0)? as u64)
    }

    /// The statements that are particular to the engine.
    pub(crate) fn dialect(&self) -> &'static Dialect {
        Dialect::of(self.pool.engine())
    }

    /// Opens a separate connection for a writer, so that readers never wait for its transactions.
    pub(crate) async fn connection(&self) -> Result<Connection<'static>, Error> {
        Ok(match &self.remote {
            None => options(&self.home).connect().await?.into(),
            Some(remote) => remote.server.connect(SCHEMA).await?,
        })
    }
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

/// Takes what a home has away from other users, because a log holds what pages and programs have shown. The home itself is left as
/// it is where it existed before: it may be somebody's working directory.
fn keep_private(home: &Path) {
    let directories = ["heads", "index", "library", "locks", "messages", "stores"];
    let files = ["sojourn.db", "sojourn.db-wal", "sojourn.db-shm"];
    for name in directories.iter().chain(&files) {
        make_private(&home.join(name));
    }
}

/// Serialises creation and migration of the database between processes.
async fn lock_while_opening(home: &Path) -> Result<File, Error> {
    let locks = home.join("locks");
    // Not `.lock`, as those of runs: a run may have any name.
    let path = locks.join("home.open");
    let lock = tokio::task::spawn_blocking(move || {
        let io = |source| Error::Io { path: path.clone(), source };
        create_private_dir(&locks).map_err(io)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        file.lock().map_err(io)?;
        Ok(file)
    });
    lock.await.map_err(|error| Error::Io { path: home.to_owned(), source: error.into() })?
}
