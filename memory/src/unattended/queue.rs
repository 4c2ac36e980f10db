//! Runs that wait for a worker, in a server.
//!
//! A worker *claims* a run for a short time and renews its claim while it lives. The claim of a worker that died, was stopped or was
//! cut off ends by itself, and another worker claims the run. To claim a run also fences whoever still writes its log, so from
//! that moment on the earlier worker's process appends nothing. Every change names the number of the claim that it
//! was made under, so a worker that lost a claim settles nothing either.

use super::{Arguments, words};
use crate::log::fence;
use crate::{Error, EventSeq, RunId, Store};
use sojourn_database::{Access, Listener, On, Row, query};
use std::time::Duration;

/// How long a claim lasts after it was renewed.
const CLAIM: Duration = Duration::from_secs(10);
/// The channel that says that a run may be claimed.
const CHANNEL: &str = "sojourn_queue";
/// Limit on the settled runs that are listed.
const MOST_LISTED: i64 = 1000;

words! {
    /// What has become of a run that was submitted.
    QueueState {
        /// It waits for a worker.
        Queued = "queued",
        /// A worker has it.
        Running = "running",
        /// It waits for the answer to an approval.
        Waiting = "waiting",
        /// It has ended.
        Finished = "finished",
        /// It is paused: somebody may resume it.
        Paused = "paused",
        /// It was given up.
        Failed = "failed",
        /// Somebody took it out of the queue.
        Cancelled = "cancelled",
    }
}

/// A run to be carried out by some worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The id that the run gets.
    pub run: RunId,
    /// The absolute path of the agent file where it was submitted.
    pub path: String,
    /// The text of the agent file.
    pub agent: String,
    /// Further arguments of the run.
    pub arguments: Arguments,
    /// What a worker must have: all of these labels.
    pub labels: Vec<String>,
    /// Now, in milliseconds since 1970.
    pub submitted_ms: i64,
}

/// A run in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRun {
    /// Its number in this store.
    pub no: i64,
    /// What was submitted.
    pub submission: Submission,
    /// What has become of it.
    pub state: QueueState,
    /// The worker that had it last.
    pub worker: Option<String>,
    /// The number of its present claim: how often it was claimed.
    pub claim: i64,
    /// Deaths in a row without a new record of the run.
    pub deaths: u32,
    /// The run's last record at the latest death.
    pub last_seq: EventSeq,
    /// When it was claimed first, in milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Why it ended as it did, or what it waits for.
    pub why: Option<String>,
}

/// Waits until a run may have become free to be claimed.
#[derive(Debug)]
pub struct QueueBell(Listener);

impl QueueBell {
    /// Waits for the next sign. There may be signs without a run to claim. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Unreachable`]. The next call connects again.
    pub async fn ring(&mut self) -> Result<(), Error> {
        Ok(self.0.next().await?)
    }
}

fn queued(row: &Row) -> Result<QueuedRun, Error> {
    let labels: &str = row.try_get("labels")?;
    let read =
        |error: serde_json::Error| Error::Damaged { place: "the queue".to_owned(), what: error.to_string() };
    Ok(QueuedRun {
        no: row.try_get("no")?,
        submission: Submission {
            run: row.try_get::<&str, _>("run")?.parse()?,
            path: row.try_get("path")?,
            agent: row.try_get("agent")?,
            arguments: serde_json::from_str(row.try_get("arguments")?).map_err(read)?,
            labels: serde_json::from_str(labels).map_err(read)?,
            submitted_ms: row.try_get("submitted_ms")?,
        },
        state: QueueState::of(row.try_get("state")?)?,
        worker: row.try_get("worker")?,
        claim: row.try_get("claim")?,
        deaths: u32::try_from(row.try_get::<i64, _>("deaths")?).unwrap_or(u32::MAX),
        last_seq: EventSeq(row.try_get::<i64, _>("last_seq")? as u64),
        started_ms: row.try_get("started_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        why: row.try_get("why")?,
    })
}

/// Puts a run into the queue; where it `may_have_begun`, also one that has a log. Returns false where it is there already.
pub(super) async fn insert<'e, 'c: 'e>(
    new: &'e Submission,
    may_have_begun: bool,
    on: impl Into<On<'e, 'c>>,
) -> Result<bool, Error> {
    let inserted = query(
        "INSERT INTO queue (run, path, agent, arguments, labels, submitted_ms) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE ?7 OR NOT EXISTS (SELECT 1 FROM runs WHERE id = ?1) ON CONFLICT DO NOTHING",
    )
    .bind(new.run.as_str())
    .bind(&new.path)
    .bind(&new.agent)
    .bind(serde_json::json!(new.arguments).to_string())
    .bind(serde_json::json!(new.labels).to_string())
    .bind(new.submitted_ms)
    .bind(may_have_begun)
    .execute(on)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

impl Store {
    /// Puts a run into the queue, durably.
    ///
    /// # Errors
    /// [`Error::RunExists`], [`Error::NoServer`].
    pub async fn submit(&self, new: &Submission) -> Result<(), Error> {
        self.needs_server()?;
        if insert(new, false, &self.pool).await? {
            Ok(())
        } else {
            Err(Error::RunExists { run: new.run.clone() })
        }
    }

    /// A run in the queue, also one that has ended.
    pub async fn queued_run(&self, run: &RunId) -> Result<Option<QueuedRun>, Error> {
        self.needs_server()?;
        let row =
            query("SELECT * FROM queue WHERE run = ?").bind(run.as_str()).fetch_optional(&self.pool).await?;
        row.as_ref().map(queued).transpose()
    }

    /// Claims the run that has waited longest among those that a worker with these labels can carry out, and fences whoever still
    /// writes it. No other worker gets it until the claim ends.
    ///
    /// # Errors
    /// [`Error::NoServer`], [`Error::Unreachable`].
    pub async fn claim(
        &self,
        worker: &str,
        labels: &[String],
        now_ms: i64,
    ) -> Result<Option<QueuedRun>, Error> {
        self.needs_server()?;
        let mut transaction = self.pool.begin(Access::Append).await?;
        let row = query(
            "UPDATE queue SET state = 'running', worker = ?1, claim = claim + 1, started_ms = coalesce(started_ms, ?4), \
             leased_until = clock_timestamp() + make_interval(secs => ?3) WHERE no = ( \
               SELECT no FROM queue WHERE ended_ms IS NULL AND not_before <= clock_timestamp() \
               AND (leased_until IS NULL OR leased_until < clock_timestamp()) \
               AND (SELECT bool_and(value IN (SELECT value FROM json_each(?2))) FROM json_each(labels)) IS NOT FALSE \
               AND (state != 'waiting' OR NOT EXISTS \
                 (SELECT 1 FROM approvals WHERE approvals.run = queue.run AND approvals.state = 'pending')) \
               ORDER BY no LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING *",
        )
        .bind(worker)
        .bind(serde_json::json!(labels).to_string())
        .bind(CLAIM.as_secs_f64())
        .bind(now_ms)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(claimed) = row.as_ref().map(queued).transpose()? else { return Ok(None) };
        fence(&mut transaction, &claimed.submission.run).await?;
        transaction.commit().await?;
        Ok(Some(claimed))
    }

    /// Renews a claim. Returns false where it was lost: another worker has the run, or somebody cancelled it.
    pub async fn renew_claim(&self, no: i64, claim: i64) -> Result<bool, Error> {
        let renewed = query(
            "UPDATE queue SET leased_until = clock_timestamp() + make_interval(secs => ?3) \
             WHERE no = ?1 AND claim = ?2 AND ended_ms IS NULL",
        )
        .bind(no)
        .bind(claim)
        .bind(CLAIM.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Gives a claimed run back: it ends in the state, or waits in it for the next claim, which is not before `pause`. Returns false, and
    /// nothing changes, where the claim was lost.
    pub async fn settle_claim(
        &self,
        (no, claim): (i64, i64),
        state: QueueState,
        why: &str,
        pause: Duration,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let is_open = matches!(state, QueueState::Queued | QueueState::Waiting | QueueState::Running);
        let settled = query(
            "UPDATE queue SET state = ?3, why = ?4, ended_ms = ?5, leased_until = NULL, \
             not_before = clock_timestamp() + make_interval(secs => ?6) \
             WHERE no = ?1 AND claim = ?2 AND ended_ms IS NULL",
        )
        .bind(no)
        .bind(claim)
        .bind(state.as_str())
        .bind(why)
        .bind((!is_open).then_some(now_ms))
        .bind(pause.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(settled.rows_affected() == 1)
    }

    /// Notes that the process of a claimed run died at `last_seq`, the `deaths`-th time without a new record.
    pub async fn note_death(
        &self,
        (no, claim): (i64, i64),
        (deaths, last_seq): (u32, EventSeq),
    ) -> Result<(), Error> {
        query("UPDATE queue SET deaths = ?3, last_seq = ?4 WHERE no = ?1 AND claim = ?2")
            .bind(no)
            .bind(claim)
            .bind(deaths)
            .bind(last_seq.0 as i64)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Takes a run out of the queue; a worker that has it stops it. Returns false where it had ended.
    pub async fn cancel_queued(&self, run: &RunId, now_ms: i64) -> Result<bool, Error> {
        self.needs_server()?;
        let mut transaction = self.pool.begin(Access::Append).await?;
        let cancelled = query(
            "UPDATE queue SET state = 'cancelled', ended_ms = ?2, leased_until = NULL, why = 'somebody cancelled it' \
             WHERE run = ?1 AND ended_ms IS NULL",
        )
        .bind(run.as_str())
        .bind(now_ms)
        .execute(&mut *transaction)
        .await?;
        if cancelled.rows_affected() == 1 {
            fence(&mut transaction, run).await?;
        }
        transaction.commit().await?;
        Ok(cancelled.rows_affected() == 1)
    }

    /// The runs in the queue: all that are open, and the latest that have ended; in the order of their submission.
    pub async fn queue(&self) -> Result<Vec<QueuedRun>, Error> {
        self.needs_server()?;
        let rows = query(
            "SELECT * FROM queue WHERE ended_ms IS NULL \
             OR no IN (SELECT no FROM queue WHERE ended_ms IS NOT NULL ORDER BY no DESC LIMIT ?1) ORDER BY no",
        )
        .bind(MOST_LISTED)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(queued).collect()
    }

    /// How long it takes until a run can be claimed without any sign: because a claim ends, or a pause. `None`: never.
    pub async fn next_claim(&self) -> Result<Option<Duration>, Error> {
        let row = query(
            "SELECT (extract(epoch FROM min(greatest(leased_until, not_before)) - clock_timestamp()))::float8 \
             FROM queue WHERE ended_ms IS NULL AND greatest(leased_until, not_before) > clock_timestamp()",
        )
        .fetch_one(&self.pool)
        .await?;
        let seconds: Option<f64> = row.try_get(0)?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(CLAIM)))
    }

    /// Listens for runs that can be claimed.
    ///
    /// # Errors
    /// [`Error::NoServer`], [`Error::Unreachable`].
    pub async fn queue_bell(&self) -> Result<QueueBell, Error> {
        let server = self.needs_server()?;
        Ok(QueueBell(Listener::to(server, crate::store::SCHEMA, CHANNEL).await?))
    }
}
