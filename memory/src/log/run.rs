use super::lock::RunLock;
use super::record::Encoder;
use super::{EventSeq, RunId, Writer};
use crate::{Error, Hash, Store};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

/// The particulars of a run that is about to begin. They never change, and its first record is chained to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRun {
    /// Its name.
    pub id: RunId,
    /// When, in milliseconds since 1970.
    pub created_ms: i64,
    /// The environment's name.
    pub environment: String,
    /// The controller model's name.
    pub model: String,
    /// A name for people; this one may be changed.
    pub title: Option<String>,
}

impl NewRun {
    /// A run without a title, created at the time 0.
    pub fn new(id: RunId, environment: impl Into<String>, model: impl Into<String>) -> Self {
        let (environment, model) = (environment.into(), model.into());
        Self { id, created_ms: 0, environment, model, title: None }
    }
}

/// What is known of a run without reading its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its name.
    pub id: RunId,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// The environment's name.
    pub environment: String,
    /// The controller model's name.
    pub model: String,
    /// The last record that it shares with the run it branched off, if it is a fork.
    pub parent: Option<(RunId, EventSeq)>,
    /// A name for people.
    pub title: Option<String>,
    /// As its writer last said. A run that says `Running` while [`Store::is_live`] denies it was cut off.
    pub status: RunStatus,
    /// Of its last durable record; 0 if there is none.
    pub last_seq: EventSeq,
    /// When that record was made; when the run was created if there is none.
    pub last_at_ms: i64,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It is being written, or its writer died.
    Running,
    /// It was stopped and can be resumed.
    Paused,
    /// It came to its end.
    Finished,
    /// It gave up.
    Failed,
}

impl RunStatus {
    /// As it is stored and shown: "running".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }

    fn from_str(text: &str) -> Option<Self> {
        [Self::Running, Self::Paused, Self::Finished, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// A row of `runs`.
#[derive(Debug, Clone)]
pub(crate) struct RunRow {
    pub(crate) no: i64,
    pub(crate) info: RunInfo,
    /// The hash of the last record, or the genesis.
    pub(crate) head: Hash,
}

impl RunRow {
    /// The hash that the first record is chained to: of everything about the run that never changes.
    pub(crate) fn genesis(&self) -> Hash {
        genesis(
            &self.info.id,
            self.info.created_ms,
            &self.info.environment,
            &self.info.model,
            self.info.parent.as_ref(),
        )
    }

    pub(super) fn decode(row: &SqliteRow) -> Result<Self, Error> {
        let id: RunId = row.try_get::<&str, _>("id")?.parse()?;
        let damaged = |what: &str| Error::Damaged { place: format!("run `{id}`"), what: what.to_owned() };
        let parent_run: Option<&str> = row.try_get("parent_run")?;
        let parent_seq: Option<i64> = row.try_get("parent_seq")?;
        let parent = match (parent_run, parent_seq) {
            (Some(run), Some(seq)) => Some((run.parse()?, EventSeq(seq as u64))),
            _ => None,
        };
        let info = RunInfo {
            created_ms: row.try_get("created_ms")?,
            environment: row.try_get("environment")?,
            model: row.try_get("model")?,
            parent,
            title: row.try_get("title")?,
            status: RunStatus::from_str(row.try_get("status")?)
                .ok_or_else(|| damaged("an unknown status"))?,
            last_seq: EventSeq(row.try_get::<i64, _>("last_seq")? as u64),
            last_at_ms: row.try_get("last_at_ms")?,
            id: id.clone(),
        };
        let head = row.try_get::<&[u8], _>("head")?.try_into().map_err(|_| damaged("its head is no hash"))?;
        Ok(Self { no: row.try_get("no")?, info, head })
    }

    pub(crate) async fn find(connection: &mut SqliteConnection, id: &RunId) -> Result<Option<Self>, Error> {
        let row = sqlx::query("SELECT * FROM runs WHERE id = ?").bind(id.as_str()).fetch_optional(connection);
        row.await?.as_ref().map(Self::decode).transpose()
    }
}

fn genesis(
    id: &RunId,
    created_ms: i64,
    environment: &str,
    model: &str,
    parent: Option<&(RunId, EventSeq)>,
) -> Hash {
    let mut encoder = Encoder::new("sojourn-run-v1\0");
    encoder.text(id.as_str());
    encoder.signed(created_ms);
    encoder.text(environment);
    encoder.text(model);
    if let Some((run, seq)) = parent {
        encoder.text(run.as_str());
        encoder.integer(seq.0);
    }
    encoder.finish()
}

/// Adds the row of a run without records; returns its number and the hash that its first record follows.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    new: &NewRun,
    parent: Option<&(RunId, EventSeq)>,
) -> Result<(i64, Hash), Error> {
    let genesis = genesis(&new.id, new.created_ms, &new.environment, &new.model, parent);
    let (parent_run, parent_seq) = parent.map(|(run, seq)| (run.as_str(), seq.0 as i64)).unzip();
    let inserted = sqlx::query(
        "INSERT INTO runs (id, created_ms, environment, model, parent_run, parent_seq, title, status, \
         last_at_ms, head) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?2, ?9) ON CONFLICT (id) DO NOTHING",
    )
    .bind(new.id.as_str())
    .bind(new.created_ms)
    .bind(&new.environment)
    .bind(&new.model)
    .bind(parent_run)
    .bind(parent_seq)
    .bind(&new.title)
    .bind(RunStatus::Running.as_str())
    .bind(genesis.as_bytes().as_slice())
    .execute(connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(Error::RunExists { run: new.id.clone() });
    }
    Ok((inserted.last_insert_rowid(), genesis))
}

impl Store {
    /// Begins a run and takes the sole right to write it.
    ///
    /// # Errors
    /// [`Error::RunExists`].
    pub async fn create_run(&self, new: NewRun) -> Result<Writer, Error> {
        let lock = RunLock::take(self.home(), &new.id).await?;
        let mut connection = self.connection().await?;
        insert(&mut connection, &new, None).await?;
        Writer::new(self.clone(), connection, lock, &new.id).await
    }

    /// Takes the sole right to go on writing a run, and marks it as running.
    ///
    /// # Errors
    /// [`Error::Locked`] while another writer lives, in this process or another; [`Error::NoSuchRun`].
    pub async fn resume_run(&self, id: &RunId) -> Result<Writer, Error> {
        let status = self.run_row(id).await?.info.status;
        let lock = RunLock::take(self.home(), id).await?;
        let writer = Writer::new(self.clone(), self.connection().await?, lock, id).await?;
        // A run that was cut off can be resumed although the disk is full.
        if status != RunStatus::Running {
            self.set_status(id, RunStatus::Running).await?;
        }
        Ok(writer)
    }

    /// Whether somebody is writing the run at this moment.
    pub fn is_live(&self, id: &RunId) -> Result<bool, Error> {
        RunLock::is_taken(self.home(), id)
    }

    /// All runs, the newest first.
    pub async fn runs(&self) -> Result<Vec<RunInfo>, Error> {
        let rows =
            sqlx::query("SELECT * FROM runs ORDER BY created_ms DESC, no DESC").fetch_all(&self.pool).await?;
        rows.iter().map(|row| RunRow::decode(row).map(|run| run.info)).collect()
    }

    /// The run whose id is `name`, or the only one whose id begins with it.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`] with the nearest id, [`Error::AmbiguousRun`].
    pub async fn run(&self, name: &str) -> Result<RunInfo, Error> {
        Ok(self.find(name).await?.info)
    }

    /// Gives a run a name for people, or takes it away.
    pub async fn set_title(&self, id: &RunId, title: Option<&str>) -> Result<(), Error> {
        let update = sqlx::query("UPDATE runs SET title = ? WHERE id = ?").bind(title).bind(id.as_str());
        self.updated(id, update.execute(&self.pool).await?.rows_affected()).await
    }

    /// Says how a run stands.
    pub async fn set_status(&self, id: &RunId, status: RunStatus) -> Result<(), Error> {
        let update =
            sqlx::query("UPDATE runs SET status = ? WHERE id = ?").bind(status.as_str()).bind(id.as_str());
        self.updated(id, update.execute(&self.pool).await?.rows_affected()).await
    }

    async fn updated(&self, id: &RunId, rows: u64) -> Result<(), Error> {
        if rows == 0 { Err(self.no_such_run(id.as_str()).await?) } else { Ok(()) }
    }

    pub(crate) async fn run_row(&self, id: &RunId) -> Result<RunRow, Error> {
        match RunRow::find(&mut *self.pool.acquire().await?, id).await? {
            Some(run) => Ok(run),
            None => Err(self.no_such_run(id.as_str()).await?),
        }
    }

    async fn find(&self, name: &str) -> Result<RunRow, Error> {
        let rows =
            sqlx::query("SELECT * FROM runs WHERE substr(id, 1, length(?1)) = ?1 AND ?1 != '' ORDER BY id")
                .bind(name)
                .fetch_all(&self.pool)
                .await?;
        let mut runs = rows.iter().map(RunRow::decode).collect::<Result<Vec<_>, _>>()?;
        if let Some(exact) = runs.iter().position(|run| run.info.id.as_str() == name) {
            return Ok(runs.swap_remove(exact));
        }
        match runs.len() {
            0 => Err(self.no_such_run(name).await?),
            1 => Ok(runs.swap_remove(0)),
            _ => {
                let matches = runs.into_iter().map(|run| run.info.id).collect();
                Err(Error::AmbiguousRun { name: name.to_owned(), matches })
            }
        }
    }

    async fn no_such_run(&self, name: &str) -> Result<Error, Error> {
        let ids = sqlx::query("SELECT id FROM runs ORDER BY no DESC").fetch_all(&self.pool).await?;
        let mut nearest: Option<(f64, RunId)> = None;
        for row in ids {
            let id: RunId = row.try_get::<&str, _>(0)?.parse()?;
            let likeness = strsim::jaro_winkler(name, id.as_str());
            if likeness > nearest.as_ref().map_or(0.8, |best| best.0) {
                nearest = Some((likeness, id));
            }
        }
        Ok(Error::NoSuchRun { name: name.chars().take(80).collect(), nearest: nearest.map(|best| best.1) })
    }
}
