mod error;
mod index;

pub use error::LibraryError;
pub use index::Row;

use crate::{Illegal, LibraryEvent, LibraryState, Skill, store};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Written into the database; raised when the tables change or an event is of a new kind.
const SCHEMA_VERSION: i64 = 2;

/// What the source of an event begins with that no run's log has.
const USER: &str = "user/";

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

/// An event as the library keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its number, from 1.
    pub seq: i64,
    /// When it was appended, in milliseconds since 1970.
    pub at_ms: u64,
    /// The run and the record of its log where it stands too, `RUN/SEQ`; or `user/SEQ`, which stands nowhere else.
    pub source: Option<String>,
    /// The event.
    pub event: LibraryEvent,
}

/// What became of an event of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// It was applied as it is.
    Whole,
    /// A draft, which got another number because its own was taken.
    Renumbered {
        /// Its number here.
        version: u32,
    },
    /// It contradicts what other runs did; it was kept and changes nothing.
    SetAside(Box<Illegal>),
    /// It was applied before.
    Known,
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
        sqlx::raw_sql("PRAGMA user_version = 2").execute(&mut *transaction).await?;
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

    /// Appends an event that no run's log has, because a person brought it about, and brings index and folders up
    /// to date. `at_ms` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`LibraryError::Illegal`] changes nothing. After [`LibraryError::Io`] or [`LibraryError::Tampered`] the
    /// event is recorded but its files are not as they should be.
    pub async fn apply(&mut self, event: &LibraryEvent, at_ms: u64) -> Result<(), LibraryError> {
        self.apply_all(std::slice::from_ref(event), at_ms).await
    }

    /// As [`apply`](Self::apply), for events that belong together: all of them or none.
    ///
    /// # Errors
    /// As [`apply`](Self::apply), for the first event that is illegal.
    pub async fn apply_all(&mut self, events: &[LibraryEvent], at_ms: u64) -> Result<(), LibraryError> {
        let mut transaction = self.begin().await?;
        let (mut state, mut seq) = (self.state.clone(), self.seq);
        for event in events {
            state.apply(event)?;
            seq += 1;
            append(&mut transaction, &state, event, at_ms, (seq, &format!("{USER}{seq}"))).await?;
        }
        transaction.commit().await?;
        self.settle(state, seq, events).await
    }

    /// Appends an event of a run, whose log has it under `source`: `RUN/SEQ`.
    ///
    /// A run changes its own copy of the library first, and another run may have changed this one since the copy
    /// was taken. So a draft gets the next free number of its name, and a change that is not possible here is kept
    /// as [`LibraryEvent::SetAside`], which changes nothing. One event of a source is appended once.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); [`LibraryError::Illegal`] only for what is not possible in any library.
    pub async fn apply_once(
        &mut self,
        event: &LibraryEvent,
        at_ms: u64,
        source: &str,
    ) -> Result<Applied, LibraryError> {
        let mut transaction = self.begin().await?;
        let known: Option<i64> = sqlx::query_scalar("SELECT seq FROM events WHERE source = ?")
            .bind(source)
            .fetch_optional(&mut *transaction)
            .await?;
        if known.is_some() {
            return Ok(Applied::Known);
        }
        let mut state = self.state.clone();
        let (event, applied) = admit_into(&mut state, event)?;
        let seq = self.seq + 1;
        append(&mut transaction, &state, &event, at_ms, (seq, source)).await?;
        transaction.commit().await?;
        self.settle(state, seq, std::slice::from_ref(&event)).await?;
        Ok(applied)
    }

    /// Starts a change: nobody else can write until it ends, and the state is that after all events so far.
    async fn begin(&mut self) -> Result<Transaction<'static, Sqlite>, LibraryError> {
        if !self.writable {
            return Err(LibraryError::ReadOnly);
        }
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        catch_up(&mut transaction, &mut self.state, &mut self.seq).await?;
        Ok(transaction)
    }

    /// Takes over what was committed, and writes the files of new versions.
    async fn settle(
        &mut self,
        state: LibraryState,
        seq: i64,
        events: &[LibraryEvent],
    ) -> Result<(), LibraryError> {
        (self.state, self.seq) = (state, seq);
        for event in events {
            if let LibraryEvent::Drafted { skill } = event {
                let (root, skill) = (self.skills.clone(), Arc::new((**skill).clone()));
                blocking(move || store::write(&root, &skill)).await?;
            }
        }
        Ok(())
    }

    /// Every event as it was recorded, in order.
    pub async fn records(&self) -> Result<Vec<Recorded>, LibraryError> {
        let mut connection = self.pool.acquire().await?;
        read_events(&mut connection, 0).await
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
            index::write(&mut transaction, &state, name).await?;
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
    for Recorded { seq: number, event, .. } in read_events(connection, *seq).await? {
        let damaged = |reason: String| LibraryError::Corrupt { seq: number, reason };
        if number != *seq + 1 {
            return Err(damaged(format!("event {} is missing before it", *seq + 1)));
        }
        state.apply(&event).map_err(|illegal| damaged(illegal.to_string()))?;
        *seq = number;
    }
    Ok(())
}

async fn read_events(connection: &mut SqliteConnection, after: i64) -> Result<Vec<Recorded>, LibraryError> {
    let records: Vec<(i64, i64, String, Option<String>)> =
        sqlx::query_as("SELECT seq, at_ms, payload, source FROM events WHERE seq > ? ORDER BY seq")
            .bind(after)
            .fetch_all(connection)
            .await?;
    let decode = |(seq, at_ms, payload, source): (i64, i64, String, Option<String>)| {
        let event = serde_json::from_str(&payload)
            .map_err(|error| LibraryError::Corrupt { seq, reason: error.to_string() })?;
        Ok(Recorded { seq, at_ms: at_ms as u64, source, event })
    };
    records.into_iter().map(decode).collect()
}

/// Writes the event that led to `state` under its number and source, and what the index has to say about it.
async fn append(
    transaction: &mut SqliteConnection,
    state: &LibraryState,
    event: &LibraryEvent,
    at_ms: u64,
    (seq, source): (i64, &str),
) -> Result<(), LibraryError> {
    let payload = serde_json::to_string(event).map_err(|source| LibraryError::Encode { source })?;
    sqlx::query("INSERT INTO events (seq, at_ms, kind, payload, source) VALUES (?, ?, ?, ?, ?)")
        .bind(seq)
        .bind(at_ms as i64)
        .bind(event.kind())
        .bind(payload)
        .bind(source)
        .execute(&mut *transaction)
        .await?;
    if let Some(name) = index::name_of(state, event) {
        index::write(transaction, state, name).await?;
    }
    Ok(())
}

/// Applies an event of a run to a library that may have changed since the run took its copy. What is appended,
/// and what became of it.
fn admit_into(
    state: &mut LibraryState,
    event: &LibraryEvent,
) -> Result<(LibraryEvent, Applied), LibraryError> {
    let illegal = match state.apply(event) {
        Ok(()) => return Ok((event.clone(), Applied::Whole)),
        Err(illegal) => illegal,
    };
    if let (Illegal::WrongVersion { expected, .. }, LibraryEvent::Drafted { skill }) = (&illegal, event) {
        let renumbered = LibraryEvent::Drafted { skill: Box::new((**skill).clone().renumbered(*expected)) };
        if state.apply(&renumbered).is_ok() {
            return Ok((renumbered, Applied::Renumbered { version: *expected }));
        }
    }
    if !illegal.is_conflict() {
        return Err(illegal.into());
    }
    let aside = LibraryEvent::SetAside { event: Box::new(event.clone()), reason: illegal.to_string() };
    Ok((aside, Applied::SetAside(Box::new(illegal))))
}

/// Runs file work where it may block.
async fn blocking(
    work: impl FnOnce() -> Result<(), LibraryError> + Send + 'static,
) -> Result<(), LibraryError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|failed| {
        Err(LibraryError::Io { path: PathBuf::new(), source: io::Error::other(failed) })
    })
}
