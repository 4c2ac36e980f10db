mod copy;
mod error;
mod index;
mod schema;

pub use copy::CopiedLibrary;
pub use error::LibraryError;
pub use index::IndexRow;

use crate::{IllegalEvent, LibraryEvent, LibraryState, Skill, store};
use sojourn_database::{Access, Connection, Pool, Row, Server, Transaction, query};
use sojourn_primitives::create_private_dir;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Source prefix of events made by a person; they appear in no run's log.
const USER: &str = "user/";

/// A skill library: in a folder, or in a server that several machines share.
///
/// The append-only events and an index for people and other programs are in `library.db` of the folder, or in tables of the server;
/// `skills/` of the folder contains every version as files. Index and files are derived from the events. Several processes may open
/// the same library: each event is applied to the state after all previous events.
#[derive(Debug)]
pub struct Library {
    /// Parent folder of the version folders.
    skills: PathBuf,
    pool: Pool,
    /// Fold of all events up to `seq`.
    state: LibraryState,
    seq: i64,
    writable: bool,
}

/// An event with its position in the library.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    /// Sequence number, from 1.
    pub seq: i64,
    /// Time of the append, in milliseconds since 1970.
    pub at_ms: u64,
    /// Origin: `RUN/SEQ` names the run and its log record; `user/SEQ` marks an event that no log contains.
    pub source: Option<String>,
    /// The event.
    pub event: LibraryEvent,
}

/// What happened to an event of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum AppendOutcome {
    /// Applied unchanged.
    Whole,
    /// A draft that was applied under another version number, because its own was taken.
    Renumbered {
        /// The assigned version number.
        version: u32,
    },
    /// Kept without effect, because it contradicts changes by other runs.
    SetAside(Box<IllegalEvent>),
    /// Already applied earlier.
    Known,
}

impl Library {
    /// Opens the library in `dir`, creating it if needed, and writes version folders that a crash left out.
    pub async fn open(dir: &Path) -> Result<Self, LibraryError> {
        let skills = dir.join("skills");
        create_private_dir(&skills).map_err(|source| LibraryError::Io { path: skills.clone(), source })?;
        Self::of(skills, schema::open_file(dir).await?).await
    }

    /// Opens the library of a server, creating it if needed. Its versions are written as files below `dir` of this machine.
    pub async fn connect(dir: &Path, server: &Server) -> Result<Self, LibraryError> {
        let skills = dir.join("skills");
        create_private_dir(&skills).map_err(|source| LibraryError::Io { path: skills.clone(), source })?;
        Self::of(skills, schema::open_server(server).await?).await
    }

    async fn of(skills: PathBuf, pool: Pool) -> Result<Self, LibraryError> {
        let mut library = Self { skills, pool, state: LibraryState::default(), seq: 0, writable: true };
        library.refresh().await?;
        library.check_folders(true).await?;
        Ok(library)
    }

    /// Opens the library in `dir` without writing anything, for benchmarks and listings.
    pub async fn open_read_only(dir: &Path) -> Result<Self, LibraryError> {
        let pool = schema::open_file_read_only(dir).await?;
        let skills = dir.join("skills");
        let mut library = Self { skills, pool, state: LibraryState::default(), seq: 0, writable: false };
        library.refresh().await?;
        library.check_folders(false).await?;
        Ok(library)
    }

    /// State after all events known to this process.
    pub fn state(&self) -> &LibraryState {
        &self.state
    }

    /// Reads events that other processes have appended.
    pub async fn refresh(&mut self) -> Result<(), LibraryError> {
        let mut connection = self.pool.acquire().await?;
        catch_up(&mut connection, &mut self.state, &mut self.seq).await
    }

    /// Appends an event made by a person and updates index and folders. `at_ms` is in milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// [`LibraryError::Illegal`] means that nothing changed. After [`LibraryError::Io`] or
    /// [`LibraryError::Tampered`] the event is recorded, but its files are incomplete.
    pub async fn apply(&mut self, event: &LibraryEvent, at_ms: u64) -> Result<(), LibraryError> {
        self.apply_all(std::slice::from_ref(event), at_ms).await
    }

    /// As [`apply`](Self::apply), for several events in one transaction.
    ///
    /// # Errors
    /// As [`apply`](Self::apply), for the first illegal event.
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

    /// Appends an event of a run. `source` is its log record, `RUN/SEQ`. Idempotent per source.
    ///
    /// A run first changes its own copy of the library, while other runs may have changed this one. A draft
    /// therefore gets the next free version number, and an event that is illegal here is kept as
    /// [`LibraryEvent::SetAside`], which has no effect.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); [`LibraryError::Illegal`] only for events that are illegal in any library.
    pub async fn apply_once(
        &mut self,
        event: &LibraryEvent,
        at_ms: u64,
        source: &str,
    ) -> Result<AppendOutcome, LibraryError> {
        let mut transaction = self.begin().await?;
        let known = query("SELECT seq FROM events WHERE source = ?")
            .bind(source)
            .fetch_optional(&mut *transaction)
            .await?;
        if known.is_some() {
            return Ok(AppendOutcome::Known);
        }
        let mut state = self.state.clone();
        let (event, applied) = admit_into(&mut state, event)?;
        let seq = self.seq + 1;
        append(&mut transaction, &state, &event, at_ms, (seq, source)).await?;
        transaction.commit().await?;
        self.settle(state, seq, std::slice::from_ref(&event)).await?;
        Ok(applied)
    }

    /// Starts a write transaction and reads all previous events.
    async fn begin(&mut self) -> Result<Transaction<'static>, LibraryError> {
        if !self.writable {
            return Err(LibraryError::ReadOnly);
        }
        let mut transaction = self.pool.begin(Access::Write).await?;
        catch_up(&mut transaction, &mut self.state, &mut self.seq).await?;
        Ok(transaction)
    }

    /// Takes over the committed state, and writes the files of new versions.
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

    /// All events, in order.
    pub async fn records(&self) -> Result<Vec<RecordedEvent>, LibraryError> {
        let mut connection = self.pool.acquire().await?;
        read_events(&mut connection, 0).await
    }

    /// The index, sorted by name and version.
    pub async fn rows(&self) -> Result<Vec<IndexRow>, LibraryError> {
        let rows = query("SELECT * FROM skills ORDER BY name, version").fetch_all(&self.pool).await?;
        rows.iter().map(IndexRow::read).collect()
    }

    /// Rebuilds state, index and missing folders from the events.
    pub async fn rebuild(&mut self) -> Result<(), LibraryError> {
        if !self.writable {
            return Err(LibraryError::ReadOnly);
        }
        let mut transaction = self.pool.begin(Access::Write).await?;
        let (mut state, mut seq) = (LibraryState::default(), 0);
        catch_up(&mut transaction, &mut state, &mut seq).await?;
        query("DELETE FROM skills").execute(&mut *transaction).await?;
        for (name, _) in state.histories() {
            index::write(&mut transaction, &state, name).await?;
        }
        transaction.commit().await?;
        (self.state, self.seq) = (state, seq);
        self.check_folders(true).await
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

/// Folds the events after `seq` into `state`.
async fn catch_up(
    connection: &mut Connection<'_>,
    state: &mut LibraryState,
    seq: &mut i64,
) -> Result<(), LibraryError> {
    for RecordedEvent { seq: number, event, .. } in read_events(connection, *seq).await? {
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
    connection: &mut Connection<'_>,
    after: i64,
) -> Result<Vec<RecordedEvent>, LibraryError> {
    let rows = query("SELECT seq, at_ms, payload, source FROM events WHERE seq > ? ORDER BY seq")
        .bind(after)
        .fetch_all(connection)
        .await?;
    let decode = |row: &Row| {
        let (seq, at_ms): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let event = serde_json::from_str(row.try_get(2)?)
            .map_err(|error| LibraryError::Corrupt { seq, reason: error.to_string() })?;
        Ok(RecordedEvent { seq, at_ms: at_ms as u64, source: row.try_get(3)?, event })
    };
    rows.iter().map(decode).collect()
}

/// Writes an event and updates its index rows. `state` is the state after the event.
async fn append(
    transaction: &mut Connection<'_>,
    state: &LibraryState,
    event: &LibraryEvent,
    at_ms: u64,
    (seq, source): (i64, &str),
) -> Result<(), LibraryError> {
    let payload = serde_json::to_string(event).map_err(|source| LibraryError::Encode { source })?;
    query("INSERT INTO events (seq, at_ms, kind, payload, source) VALUES (?, ?, ?, ?, ?)")
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

/// Applies an event of a run to a library that may have changed since the run copied it. Returns the event to
/// append and what happened to it.
fn admit_into(
    state: &mut LibraryState,
    event: &LibraryEvent,
) -> Result<(LibraryEvent, AppendOutcome), LibraryError> {
    let illegal = match state.apply(event) {
        Ok(()) => return Ok((event.clone(), AppendOutcome::Whole)),
        Err(illegal) => illegal,
    };
    if let (IllegalEvent::WrongVersion { expected, .. }, LibraryEvent::Drafted { skill }) = (&illegal, event)
    {
        let renumbered = LibraryEvent::Drafted { skill: Box::new((**skill).clone().renumbered(*expected)) };
        if state.apply(&renumbered).is_ok() {
            return Ok((renumbered, AppendOutcome::Renumbered { version: *expected }));
        }
    }
    if !illegal.is_conflict() {
        return Err(illegal.into());
    }
    let aside = LibraryEvent::SetAside { event: Box::new(event.clone()), reason: illegal.to_string() };
    Ok((aside, AppendOutcome::SetAside(Box::new(illegal))))
}

/// Runs file operations on the blocking thread pool.
async fn blocking(
    work: impl FnOnce() -> Result<(), LibraryError> + Send + 'static,
) -> Result<(), LibraryError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|failed| {
        Err(LibraryError::Io { path: PathBuf::new(), source: io::Error::other(failed) })
    })
}
