use super::hold::Hold;
use super::lease;
use super::lock::RunLock;
use super::record::Encoder;
use super::{EventSeq, Owner, RunId, Writer, heads};
use crate::{Error, Hash, Store};
use serde::{Deserialize, Serialize};
use sojourn_database::{Connection, Row, query};

/// The properties of a new run. All but the title are immutable, and the genesis hash covers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRun {
    /// Id of the run.
    pub id: RunId,
    /// Creation time, in milliseconds since 1970.
    pub created_ms: i64,
    /// Name of the environment.
    pub environment: String,
    /// Name of the controller model.
    pub model: String,
    /// The user's name for the run. It can be changed later.
    pub title: Option<String>,
}

impl NewRun {
    /// A run without a title, created at time 0.
    pub fn new(id: RunId, environment: impl Into<String>, model: impl Into<String>) -> Self {
        let (environment, model) = (environment.into(), model.into());
        Self { id, created_ms: 0, environment, model, title: None }
    }
}

/// Summary of a run, read without its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Id of the run.
    pub id: RunId,
    /// Creation time, in milliseconds since 1970.
    pub created_ms: i64,
    /// Name of the environment.
    pub environment: String,
    /// Name of the controller model.
    pub model: String,
    /// For a fork: the parent run and the last record that both share.
    pub parent: Option<(RunId, EventSeq)>,
    /// The user's name for the run.
    pub title: Option<String>,
    /// Status that the writer stored last. A run that is `Running` while [`Store::is_live`] is false was
    /// interrupted.
    pub status: RunStatus,
    /// Sequence number of the last durable record; 0 if the run is empty.
    pub last_seq: EventSeq,
    /// Time of that record, or the creation time if the run is empty.
    pub last_at_ms: i64,
}

/// Lifecycle state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// A writer has the run open, or died before closing it.
    Running,
    /// The run was stopped and can be resumed.
    Paused,
    /// The run reached its end.
    Finished,
    /// The run ended with an error.
    Failed,
}

impl RunStatus {
    /// The name in the database and in output: "running".
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

/// A row of the table `runs`.
#[derive(Debug, Clone)]
pub(crate) struct RunRow {
    pub(crate) no: i64,
    pub(crate) info: RunInfo,
    /// Hash of the last record, or the genesis hash.
    pub(crate) head: Hash,
}

impl RunRow {
    /// The genesis hash, which the first record is chained to. It covers all immutable fields of the run.
    pub(crate) fn genesis(&self) -> Hash {
        let RunInfo { id, created_ms, environment, model, parent, .. } = &self.info;
        let created_ms = *created_ms;
        genesis(&NewRun { created_ms, ..NewRun::new(id.clone(), environment, model) }, parent.as_ref())
    }

    pub(super) fn decode(row: &Row) -> Result<Self, Error> {
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
            title: row.optional_text("title")?,
            status: RunStatus::from_str(row.try_get("status")?)
                .ok_or_else(|| damaged("its status is unknown"))?,
            last_seq: EventSeq(row.try_get::<i64, _>("last_seq")? as u64),
            last_at_ms: row.try_get("last_at_ms")?,
            id: id.clone(),
        };
        let head =
            row.try_get::<&[u8], _>("head")?.try_into().map_err(|_| damaged("its head is not a hash"))?;
        Ok(Self { no: row.try_get("no")?, info, head })
    }

    pub(crate) async fn find(connection: &mut Connection<'_>, id: &RunId) -> Result<Option<Self>, Error> {
        let row = query("SELECT * FROM runs WHERE id = ?").bind(id.as_str()).fetch_optional(connection);
        row.await?.as_ref().map(Self::decode).transpose()
    }
}

/// The genesis hash of a run with these properties.
pub(super) fn genesis(new: &NewRun, parent: Option<&(RunId, EventSeq)>) -> Hash {
    let mut encoder = Encoder::new("sojourn-run-v1\0");
    encoder.text(new.id.as_str());
    encoder.signed(new.created_ms);
    encoder.text(&new.environment);
    encoder.text(&new.model);
    if let Some((run, seq)) = parent {
        encoder.text(run.as_str());
        encoder.integer(seq.0);
    }
    encoder.finish()
}

/// Inserts the row of an empty run. Returns its row number and its genesis hash.
pub(super) async fn insert(
    connection: &mut Connection<'_>,
    new: &NewRun,
    parent: Option<&(RunId, EventSeq)>,
) -> Result<(i64, Hash), Error> {
    let genesis = genesis(new, parent);
    let (parent_run, parent_seq) = parent.map(|(run, seq)| (run.as_str(), seq.0 as i64)).unzip();
    let inserted = query(
        "INSERT INTO runs (id, created_ms, environment, model, parent_run, parent_seq, title, status, \
         last_at_ms, head) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?2, ?9) ON CONFLICT (id) DO NOTHING RETURNING no",
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
    .fetch_optional(connection)
    .await?;
    match inserted {
        Some(row) => Ok((row.try_get(0)?, genesis)),
        None => Err(Error::RunExists { run: new.id.clone() }),
    }
}

impl Store {
    /// Creates a run and opens it for writing.
    ///
    /// # Errors
    /// [`Error::RunExists`].
    pub async fn create_run(&self, new: NewRun) -> Result<Writer, Error> {
        let lock = Hold::lock(self, &new.id).await?;
        let mut connection = self.connection().await?;
        insert(&mut connection, &new, None).await?;
        Writer::new(self.clone(), connection, lock, &new.id).await
    }

    /// As [`create_run`](Self::create_run), in the place of a run of that id that was cut off before its first record: nothing
    /// happened in it.
    ///
    /// # Errors
    /// [`Error::RunExists`] where the run has a record, or is a fork.
    pub async fn start_run(&self, new: NewRun) -> Result<Writer, Error> {
        let lock = Hold::lock(self, &new.id).await?;
        let mut connection = self.connection().await?;
        query(self.dialect().delete_empty_run)
            .bind(new.id.as_str())
            .bind(self.owner().map_or("", Owner::as_str))
            .execute(&mut connection)
            .await?;
        // The head of a run without a record stands for its row, which is another one now.
        if let Some(home) = self.own_home()
            && heads::noted(home, &new.id)?.is_some_and(|head| head.seq == EventSeq(0))
        {
            heads::remove(home, &new.id)?;
        }
        insert(&mut connection, &new, None).await?;
        Writer::new(self.clone(), connection, lock, &new.id).await
    }

    /// Opens an existing run for writing, and sets its status to `Running`.
    ///
    /// # Errors
    /// [`Error::Locked`] if another writer has it open, in this process or another; [`Error::NoSuchRun`].
    pub async fn resume_run(&self, id: &RunId) -> Result<Writer, Error> {
        let status = self.run_row(id).await?.info.status;
        let lock = Hold::lock(self, id).await?;
        let writer = Writer::new(self.clone(), self.connection().await?, lock, id).await?;
        // The status of an interrupted run is `Running` already, so it can be resumed even if the disk is
        // full.
        if status != RunStatus::Running {
            writer.set_status(RunStatus::Running).await?;
        }
        Ok(writer)
    }

    /// Whether a writer has the run open at this moment.
    pub async fn is_live(&self, id: &RunId) -> Result<bool, Error> {
        match self.own_home() {
            Some(home) => RunLock::is_taken(home, id),
            None => lease::is_leased(self, id).await,
        }
    }

    /// Process id of the writer that has the run open at this moment; `None` where there is none, where it did not say, and where it
    /// may be on another machine.
    pub fn writer_process(&self, id: &RunId) -> Result<Option<u32>, Error> {
        self.own_home().map_or(Ok(None), |home| RunLock::holder(home, id))
    }

    /// Lists all runs, newest first.
    pub async fn runs(&self) -> Result<Vec<RunInfo>, Error> {
        let rows =
            query("SELECT * FROM runs ORDER BY created_ms DESC, no DESC").fetch_all(&self.pool).await?;
        rows.iter().map(|row| RunRow::decode(row).map(|run| run.info)).collect()
    }

    /// Finds a run by its id or by an unambiguous prefix of it.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`] with the most similar id, [`Error::AmbiguousRun`].
    pub async fn run(&self, name: &str) -> Result<RunInfo, Error> {
        Ok(self.find(name).await?.info)
    }

    /// Sets the user's name for the run, or removes it with `None`.
    pub async fn set_title(&self, id: &RunId, title: Option<&str>) -> Result<(), Error> {
        let update = query("UPDATE runs SET title = ? WHERE id = ?").bind(title).bind(id.as_str());
        self.updated(id, update.execute(&self.pool).await?.rows_affected()).await
    }

    /// Stores the status of a run.
    pub async fn set_status(&self, id: &RunId, status: RunStatus) -> Result<(), Error> {
        let update = query("UPDATE runs SET status = ? WHERE id = ?").bind(status.as_str()).bind(id.as_str());
        self.updated(id, update.execute(&self.pool).await?.rows_affected()).await
    }

    async fn updated(&self, id: &RunId, rows: u64) -> Result<(), Error> {
        if rows == 0 { Err(self.no_such_run(id.as_str()).await?) } else { Ok(()) }
    }

    pub(crate) async fn run_row(&self, id: &RunId) -> Result<RunRow, Error> {
        // The connection returns to the pool before `no_such_run` takes one.
        let found = RunRow::find(&mut self.pool.acquire().await?, id).await?;
        match found {
            Some(run) => Ok(run),
            None => Err(self.no_such_run(id.as_str()).await?),
        }
    }

    async fn find(&self, name: &str) -> Result<RunRow, Error> {
        let rows = query("SELECT * FROM runs WHERE substr(id, 1, length(?1)) = ?1 AND ?1 != '' ORDER BY id")
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
        let ids = query("SELECT id FROM runs ORDER BY no DESC").fetch_all(&self.pool).await?;
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
