use crate::{Illegal, LibraryEvent, LibraryState, Skill, store};
use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqliteConnection, SqlitePool};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Written into the database; raised when the tables change.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        source TEXT UNIQUE
    ) STRICT;
    CREATE TABLE IF NOT EXISTS skills (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        status TEXT NOT NULL,
        active INTEGER NOT NULL,
        description TEXT NOT NULL,
        environment TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        successes INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        deaths INTEGER NOT NULL,
        steps INTEGER NOT NULL,
        last_error TEXT,
        UNIQUE (name, version)
    ) STRICT;
";

/// A skill library on disk.
///
/// `library.db` holds the events, append-only, and an index for people and other programs; `skills/` holds
/// every version as files. Both are made from the events. Several processes may have the same library open:
/// every event is applied to the state after all events before it.
#[derive(Debug)]
pub struct Library {
    /// Where the folders of the versions are.
    skills: PathBuf,
    pool: SqlitePool,
    /// The fold of all events up to `seq`.
    state: LibraryState,
    seq: i64,
    writable: bool,
}

/// One line of the index: a version and its statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Row {
    /// Content address.
    pub id: String,
    /// The skill's name.
    pub name: String,
    /// From 1.
    pub version: i64,
    /// `draft`, `trial`, `admitted` or `retired`.
    pub status: String,
    /// Whether it is what its name calls.
    pub active: bool,
    /// One line.
    pub description: String,
    /// The environment that it is for.
    pub environment: String,
    /// When it was written, in milliseconds since 1970.
    pub created_ms: i64,
    /// Uses that succeeded.
    pub successes: i64,
    /// Uses that did not.
    pub failures: i64,
    /// Uses in which the agent died.
    pub deaths: i64,
    /// Environment steps over all uses.
    pub steps: i64,
    /// What the latest failing use threw.
    pub last_error: Option<String>,
}

/// Why a library could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The event contradicts the state of the library.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// A file is not what the events say.
    #[error("`{}` is not the file that the library wrote", path.display())]
    Tampered {
        /// The file.
        path: PathBuf,
    },
    /// An event in the database cannot be read or applied.
    #[error("event {seq} of the library is damaged: {reason}")]
    Corrupt {
        /// Its number.
        seq: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no library to read.
    #[error("there is no skill library in `{}`", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// It was opened to be read only.
    #[error("the library was opened read-only")]
    ReadOnly,
    /// A newer program wrote it.
    #[error("the library has schema version {found}, this program knows {known}: use a newer program")]
    TooNew {
        /// What the database says.
        found: i64,
        /// What this crate writes.
        known: i64,
    },
    /// The database failed.
    #[error("the library's database failed")]
    Database(#[from] sqlx::Error),
    /// A file could not be read or written.
    #[error("cannot access `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A value could not be written as JSON.
    #[error("cannot encode a library record")]
    Encode {
        /// What the encoder said.
        source: serde_json::Error,
    },
}

impl Library {
    /// Opens the library in `dir`, making it if there is none, and writes the folders that a crash left out.
    pub async fn open(dir: &Path) -> Result<Self, LibraryError> {
        let skills = dir.join("skills");
        std::fs::create_dir_all(&skills)
            .map_err(|source| LibraryError::Io { path: skills.clone(), source })?;
        let options = options(dir)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Truncate)
            .synchronous(SqliteSynchronous::Full);
        let mut library = Self::connect(skills, options, true).await?;
        let mut transaction = library.pool.begin_with("BEGIN IMMEDIATE").await?;
        check_schema(&mut transaction).await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        // A pragma takes no bound parameters.
        sqlx::raw_sql("PRAGMA user_version = 1").execute(&mut *transaction).await?;
        transaction.commit().await?;
        library.refresh().await?;
        library.check_folders(true).await?;
        Ok(library)
    }

    /// Opens the library in `dir` without writing anything: for benchmarks and listings.
    pub async fn open_read_only(dir: &Path) -> Result<Self, LibraryError> {
        if !dir.join(DATABASE).exists() {
            return Err(LibraryError::Missing { path: dir.to_owned() });
        }
        let mut library = Self::connect(dir.join("skills"), options(dir).read_only(true), false).await?;
        check_schema(&mut *library.pool.acquire().await?).await?;
        library.refresh().await?;
        library.check_folders(false).await?;
        Ok(library)
    }

    /// The state after every event this process knows of.
    pub fn state(&self) -> &LibraryState {
        &self.state
    }

    /// Reads the events that other processes appended meanwhile.
    pub async fn refresh(&mut self) -> Result<(), LibraryError> {
        let mut connection = self.pool.acquire().await?;
        catch_up(&mut connection, &mut self.state, &mut self.seq).await
    }

    /// Appends an event and brings index and folders up to date. `at_ms` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`LibraryError::Illegal`] changes nothing. After [`LibraryError::Io`] or [`LibraryError::Tampered`] the
    /// event is recorded but its files are not as they should be.
    pub async fn apply(&mut self, event: &LibraryEvent, at_ms: u64) -> Result<(), LibraryError> {
        self.append(event, at_ms, None).await.map(|_| ())
    }

    /// As [`apply`](Self::apply), for an event that stands elsewhere too: one that came from the same `source`
    /// (a run and a record) before is not applied again. Says whether it was new.
    pub async fn apply_once(
        &mut self,
        event: &LibraryEvent,
        at_ms: u64,
        source: &str,
    ) -> Result<bool, LibraryError> {
        self.append(event, at_ms, Some(source)).await
    }

    async fn append(
        &mut self,
        event: &LibraryEvent,
        at_ms: u64,
        source: Option<&str>,
    ) -> Result<bool, LibraryError> {
        if !self.writable {
            return Err(LibraryError::ReadOnly);
        }
        let payload = serde_json::to_string(event).map_err(|source| LibraryError::Encode { source })?;
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if let Some(source) = source {
            let known: Option<i64> = sqlx::query_scalar("SELECT seq FROM events WHERE source = ?")
                .bind(source)
                .fetch_optional(&mut *transaction)
                .await?;
            if known.is_some() {
                return Ok(false);
            }
        }
        catch_up(&mut transaction, &mut self.state, &mut self.seq).await?;
        let mut state = self.state.clone();
        state.apply(event)?;
        let seq = self.seq + 1;
        sqlx::query("INSERT INTO events (seq, at_ms, kind, payload, source) VALUES (?, ?, ?, ?, ?)")
            .bind(seq)
            .bind(at_ms as i64)
            .bind(event.kind())
            .bind(payload)
            .bind(source)
            .execute(&mut *transaction)
            .await?;
        if let Some(name) = name_of(&state, event) {
            index(&mut transaction, &state, name).await?;
        }
        transaction.commit().await?;
        (self.state, self.seq) = (state, seq);
        if let LibraryEvent::Drafted { skill } = event {
            let (root, skill) = (self.skills.clone(), Arc::new((**skill).clone()));
            blocking(move || store::write(&root, &skill)).await?;
        }
        Ok(true)
    }

    /// Every event with its time, in order.
    pub async fn events(&self) -> Result<Vec<(u64, LibraryEvent)>, LibraryError> {
        let mut connection = self.pool.acquire().await?;
        let records = read_events(&mut connection, 0).await?;
        Ok(records.into_iter().map(|(_, at_ms, event)| (at_ms, event)).collect())
    }

    /// The index, by name and version.
    pub async fn rows(&self) -> Result<Vec<Row>, LibraryError> {
        Ok(sqlx::query_as("SELECT * FROM skills ORDER BY name, version").fetch_all(&self.pool).await?)
    }

    /// Makes state, index and missing folders anew from the events alone.
    pub async fn rebuild(&mut self) -> Result<(), LibraryError> {
        if !self.writable {
            return Err(LibraryError::ReadOnly);
        }
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let (mut state, mut seq) = (LibraryState::default(), 0);
        catch_up(&mut transaction, &mut state, &mut seq).await?;
        sqlx::query("DELETE FROM skills").execute(&mut *transaction).await?;
        for (name, _) in state.histories() {
            index(&mut transaction, &state, name).await?;
        }
        transaction.commit().await?;
        (self.state, self.seq) = (state, seq);
        self.check_folders(true).await
    }

    async fn connect(
        skills: PathBuf,
        options: SqliteConnectOptions,
        writable: bool,
    ) -> Result<Self, LibraryError> {
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        Ok(Self { skills, pool, state: LibraryState::default(), seq: 0, writable })
    }

    async fn check_folders(&self, heal: bool) -> Result<(), LibraryError> {
        let root = self.skills.clone();
        let skills: Vec<Arc<Skill>> = (self.state.histories())
            .flat_map(|(_, history)| &history.versions)
            .map(|entry| Arc::clone(&entry.skill))
            .collect();
        blocking(move || {
            if heal {
                store::sweep(&root)?;
            }
            for skill in &skills {
                if store::exists(&root, skill) {
                    store::verify(&root, skill)?;
                } else if heal {
                    tracing::warn!(
                        name = skill.manifest.name,
                        version = skill.manifest.version,
                        "restored files"
                    );
                    store::write(&root, skill)?;
                }
            }
            Ok(())
        })
        .await
    }
}

const DATABASE: &str = "library.db";

fn options(dir: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(dir.join(DATABASE)).busy_timeout(BUSY_TIMEOUT)
}

async fn check_schema(connection: &mut SqliteConnection) -> Result<(), LibraryError> {
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await?;
    if found > SCHEMA_VERSION {
        return Err(LibraryError::TooNew { found, known: SCHEMA_VERSION });
    }
    Ok(())
}

/// Folds the events after `seq` into `state`.
async fn catch_up(
    connection: &mut SqliteConnection,
    state: &mut LibraryState,
    seq: &mut i64,
) -> Result<(), LibraryError> {
    for (number, _, event) in read_events(connection, *seq).await? {
        let damaged = |reason: String| LibraryError::Corrupt { seq: number, reason };
        if number != *seq + 1 {
            return Err(damaged(format!("event {} is missing before it", *seq + 1)));
        }
        state.apply(&event).map_err(|illegal| damaged(illegal.to_string()))?;
        *seq = number;
    }
    Ok(())
}

async fn read_events(
    connection: &mut SqliteConnection,
    after: i64,
) -> Result<Vec<(i64, u64, LibraryEvent)>, LibraryError> {
    let records: Vec<(i64, i64, String)> =
        sqlx::query_as("SELECT seq, at_ms, payload FROM events WHERE seq > ? ORDER BY seq")
            .bind(after)
            .fetch_all(connection)
            .await?;
    let decode = |(seq, at_ms, payload): (i64, i64, String)| {
        let event = serde_json::from_str(&payload)
            .map_err(|error| LibraryError::Corrupt { seq, reason: error.to_string() })?;
        Ok((seq, at_ms as u64, event))
    };
    records.into_iter().map(decode).collect()
}

/// Writes the index rows of every version of `name`.
async fn index(
    connection: &mut SqliteConnection,
    state: &LibraryState,
    name: &str,
) -> Result<(), LibraryError> {
    let Some(history) = state.history(name) else { return Ok(()) };
    for entry in &history.versions {
        let (manifest, total) = (&entry.skill.manifest, entry.total_usage());
        sqlx::query("INSERT OR REPLACE INTO skills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(manifest.id.as_str())
            .bind(&manifest.name)
            .bind(i64::from(manifest.version))
            .bind(entry.status.to_string())
            .bind(history.active().is_some_and(|active| active.id() == entry.id()))
            .bind(&manifest.description)
            .bind(&manifest.environment)
            .bind(manifest.created_ms as i64)
            .bind(i64::from(total.successes))
            .bind(i64::from(total.failures))
            .bind(i64::from(total.deaths))
            .bind(total.steps as i64)
            .bind(total.last_error)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The name of the skill that an event changed.
fn name_of<'a>(state: &'a LibraryState, event: &'a LibraryEvent) -> Option<&'a str> {
    match event {
        LibraryEvent::Drafted { skill } => Some(&skill.manifest.name),
        LibraryEvent::RolledBack { name, .. } => Some(name),
        LibraryEvent::TrialStarted { id }
        | LibraryEvent::Admitted { id, .. }
        | LibraryEvent::Demoted { id, .. }
        | LibraryEvent::Retired { id, .. }
        | LibraryEvent::Unretired { id }
        | LibraryEvent::Used { id, .. } => Some(&state.entry(id)?.skill.manifest.name),
    }
}

/// Runs file work where it may block.
async fn blocking(
    work: impl FnOnce() -> Result<(), LibraryError> + Send + 'static,
) -> Result<(), LibraryError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|failed| {
        Err(LibraryError::Io { path: PathBuf::new(), source: io::Error::other(failed) })
    })
}
