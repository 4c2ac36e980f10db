use super::{Submission, queue, words};
use crate::{Error, EventSeq, RunId, Store};
use serde::{Deserialize, Serialize};
use sojourn_database::{Access, Row, query};
use std::time::{SystemTime, UNIX_EPOCH};

/// Limit on the settled due times of a schedule that are kept.
const MOST_KEPT: i64 = 10_000;

/// When an agent is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// Again and again, this many milliseconds apart, counted from the creation of the schedule.
    EveryMs(i64),
    /// By a cron pattern, in the local time of a zone of the IANA database.
    Cron {
        /// The pattern: minute, hour, day, month, day of the week; optionally seconds before them.
        pattern: String,
        /// The zone: `Europe/Berlin`.
        zone: String,
    },
    /// Once, at this time in milliseconds since 1970.
    AtMs(i64),
}

words! {
    /// What becomes of due times at which no daemon ran.
    Missed {
        /// One run makes up for all of them.
        Run = "run",
        /// They are recorded and left out.
        Skip = "skip",
    }
}

words! {
    /// What becomes of a due time while an earlier run of the schedule is under way.
    Overlap {
        /// It is recorded and left out.
        Refuse = "refuse",
        /// Its run starts after the earlier one.
        Queue = "queue",
        /// Its run starts beside the earlier one.
        Allow = "allow",
    }
}

words! {
    /// The state of a due time.
    JobState {
        /// Recorded; its run has not started.
        Due = "due",
        /// Its run is under way, or is started again as soon as that is possible.
        Running = "running",
        /// Its run is paused until a person answers.
        Waiting = "waiting",
        /// Its run came to its end.
        Finished = "finished",
        /// Its run is paused until a person resumes it.
        Paused = "paused",
        /// Its run ended with an error, or its process died too often.
        Failed = "failed",
        /// Left out: no daemon ran at that time.
        Skipped = "skipped",
        /// Left out: an earlier run was under way.
        Refused = "refused",
        /// Left out: its schedule was removed before the run started.
        Cancelled = "cancelled",
    }
}

impl JobState {
    /// Whether the daemon has more to do for it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Due | Self::Running | Self::Waiting)
    }
}

/// Arguments of a program that is started for a run, and started again after it died.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// Those of every start.
    pub always: Vec<String>,
    /// Those of the first start: a resumed run has them in its log.
    pub first: Vec<String>,
}

/// What workers need of a schedule's agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForWorkers {
    /// The text of the agent file when the schedule was made.
    pub agent: String,
    /// What a worker must have: all of these labels.
    pub labels: Vec<String>,
}

/// The column `arguments`.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    arguments: Arguments,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<ForWorkers>,
}

/// What happens at a due time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A run starts.
    Run {
        /// The agent file as an absolute path, or the name of an environment.
        agent: String,
        /// Further arguments of `sojourn run`.
        arguments: Arguments,
        /// In a server: what workers need to carry it out.
        queue: Option<ForWorkers>,
    },
    /// Runs and blobs that nothing needs are removed (`sojourn log gc`).
    CollectLogs(LogCollection),
}

/// Which runs a scheduled collection of logs keeps, as `sojourn log gc` does. With both limits, a run is removed only if both
/// allow it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCollection {
    /// Keep this many of the newest runs.
    pub newest: Option<usize>,
    /// Keep runs whose last record is not older than this, in milliseconds.
    pub older_than_ms: Option<i64>,
    /// Whether the daemon pauses its runs for it. Otherwise it waits until no run is under way.
    pub pause_runs: bool,
}

impl Work {
    /// The columns `agent` and `arguments`. No agent has an empty name.
    fn columns(&self) -> Result<(&str, String), Error> {
        match self {
            Self::Run { agent, arguments, queue } => {
                let stored = Stored { arguments: arguments.clone(), queue: queue.clone() };
                Ok((agent, json(&stored)?))
            }
            Self::CollectLogs(collection) => Ok(("", json(collection)?)),
        }
    }

    fn of_columns(agent: &str, arguments: &str) -> Result<Self, Error> {
        match agent {
            "" => Ok(Self::CollectLogs(read(arguments)?)),
            agent => {
                let Stored { arguments, queue } = read(arguments)?;
                Ok(Self::Run { agent: agent.to_owned(), arguments, queue })
            }
        }
    }
}

/// The properties of a new schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// Its name, unique among the schedules that are not removed.
    pub name: String,
    /// What happens when it is due.
    pub work: Work,
    /// When it is due.
    pub timing: Timing,
    /// What becomes of missed due times.
    pub missed: Missed,
    /// What becomes of due times while an earlier run is under way.
    pub overlap: Overlap,
    /// Now, in milliseconds since 1970. Due times after this count.
    pub created_ms: i64,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its number in this home.
    pub no: i64,
    /// What it was created with.
    pub settings: NewSchedule,
    /// Every due time up to this one is recorded; in milliseconds since 1970.
    pub seen_ms: i64,
    /// Whether a person has paused it.
    pub paused: bool,
}

/// A due time that is about to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The due time, in milliseconds since 1970.
    pub due_ms: i64,
    /// Number of earlier due times that this one stands for.
    pub missed: u32,
    /// The id that its run gets.
    pub run: RunId,
    /// The state that it begins with.
    pub state: JobState,
    /// Why it is left out, where it is.
    pub why: Option<String>,
}

/// A recorded due time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number in this home.
    pub no: i64,
    /// The number of its schedule.
    pub schedule: i64,
    /// The due time, in milliseconds since 1970.
    pub due_ms: i64,
    /// The id of its run, where its schedule starts runs. The run exists once its process has written the first record.
    pub run: RunId,
    /// Its state.
    pub state: JobState,
    /// Number of earlier due times that it stands for.
    pub missed: u32,
    /// When it was recorded, in milliseconds since 1970.
    pub recorded_ms: i64,
    /// When its run was started first.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Number of processes that were started for its run.
    pub starts: u32,
    /// Deaths of processes in a row without a new record of the run.
    pub deaths: u32,
    /// The run's last record at the latest death.
    pub last_seq: EventSeq,
    /// No process is started for it before this time.
    pub not_before_ms: i64,
    /// Why it ended as it did, or what it waits for.
    pub why: Option<String>,
}

fn json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::Damaged { place: "a schedule".to_owned(), what: error.to_string() })
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::Damaged { place: "a schedule".to_owned(), what: error.to_string() })
}

fn schedule(row: &Row) -> Result<Schedule, Error> {
    Ok(Schedule {
        no: row.try_get("no")?,
        settings: NewSchedule {
            name: row.try_get("name")?,
            work: Work::of_columns(row.try_get("agent")?, row.try_get("arguments")?)?,
            timing: read(row.try_get("timing")?)?,
            missed: Missed::of(row.try_get("missed")?)?,
            overlap: Overlap::of(row.try_get("overlap")?)?,
            created_ms: row.try_get("created_ms")?,
        },
        seen_ms: row.try_get("seen_ms")?,
        paused: row.try_get("paused")?,
    })
}

fn job(row: &Row) -> Result<Job, Error> {
    let count = |name: &str| Ok::<_, Error>(u32::try_from(row.try_get::<i64, _>(name)?).unwrap_or(u32::MAX));
    Ok(Job {
        no: row.try_get("no")?,
        schedule: row.try_get("schedule")?,
        due_ms: row.try_get("due_ms")?,
        run: row.try_get::<&str, _>("run")?.parse()?,
        state: JobState::of(row.try_get("state")?)?,
        missed: count("missed")?,
        recorded_ms: row.try_get("recorded_ms")?,
        started_ms: row.try_get("started_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        starts: count("starts")?,
        deaths: count("deaths")?,
        last_seq: EventSeq(row.try_get::<i64, _>("last_seq")? as u64),
        not_before_ms: row.try_get("not_before_ms")?,
        why: row.try_get("why")?,
    })
}

impl Store {
    /// Creates a schedule.
    ///
    /// # Errors
    /// [`Error::ScheduleExists`].
    pub async fn add_schedule(&self, new: NewSchedule) -> Result<Schedule, Error> {
        let (agent, arguments) = new.work.columns()?;
        let inserted = query(
            "INSERT INTO schedules (name, agent, arguments, timing, missed, overlap, created_ms, seen_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT DO NOTHING RETURNING no",
        )
        .bind(&new.name)
        .bind(agent)
        .bind(arguments)
        .bind(json(&new.timing)?)
        .bind(new.missed.as_str())
        .bind(new.overlap.as_str())
        .bind(new.created_ms)
        .fetch_optional(&self.pool)
        .await?;
        let Some(inserted) = inserted else { return Err(Error::ScheduleExists { name: new.name }) };
        Ok(Schedule { no: inserted.try_get(0)?, seen_ms: new.created_ms, paused: false, settings: new })
    }

    /// The schedules that are not removed, in the order of their creation.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        let rows = query("SELECT * FROM schedules WHERE removed_ms IS NULL ORDER BY no")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(schedule).collect()
    }

    /// The latest schedule of that name, also a removed one.
    ///
    /// # Errors
    /// [`Error::NoSuchSchedule`] with the most similar name.
    pub async fn schedule(&self, name: &str) -> Result<Schedule, Error> {
        let row = query("SELECT * FROM schedules WHERE name = ? ORDER BY no DESC LIMIT 1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        match row {
            Some(row) => schedule(&row),
            None => Err(self.no_such_schedule(name).await?),
        }
    }

    /// The schedule with this number, also a removed one.
    pub async fn schedule_by_number(&self, no: i64) -> Result<Schedule, Error> {
        let row = query("SELECT * FROM schedules WHERE no = ?").bind(no).fetch_one(&self.pool).await?;
        schedule(&row)
    }

    /// Pauses a schedule, or continues it from `now_ms` on: due times while it was paused are not missed.
    ///
    /// # Errors
    /// [`Error::NoSuchSchedule`].
    pub async fn pause_schedule(&self, name: &str, paused: bool, now_ms: i64) -> Result<(), Error> {
        let update = query(
            "UPDATE schedules SET seen_ms = CASE WHEN paused AND NOT ?2 AND seen_ms < ?3 THEN ?3 ELSE seen_ms END, \
             paused = ?2 WHERE name = ?1 AND removed_ms IS NULL",
        )
        .bind(name)
        .bind(paused)
        .bind(now_ms)
        .execute(&self.pool)
        .await?;
        if update.rows_affected() == 0 { Err(self.no_such_schedule(name).await?) } else { Ok(()) }
    }

    /// Removes a schedule. What it has recorded stays; what has not started is cancelled. A run under way goes on.
    ///
    /// # Errors
    /// [`Error::NoSuchSchedule`].
    pub async fn remove_schedule(&self, name: &str, now_ms: i64) -> Result<(), Error> {
        let mut transaction = self.pool.begin(Access::Write).await?;
        let row = query("SELECT no FROM schedules WHERE name = ? AND removed_ms IS NULL")
            .bind(name)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else {
            drop(transaction);
            return Err(self.no_such_schedule(name).await?);
        };
        let no: i64 = row.try_get(0)?;
        query("UPDATE schedules SET removed_ms = ?2 WHERE no = ?1")
            .bind(no)
            .bind(now_ms)
            .execute(&mut *transaction)
            .await?;
        query(
            "UPDATE jobs SET state = 'cancelled', ended_ms = ?2, why = 'the schedule was removed' \
             WHERE schedule = ?1 AND state = 'due'",
        )
        .bind(no)
        .bind(now_ms)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Records due times of a schedule up to `seen_ms`, durably. Returns those that were not recorded before; `None`, and nothing is
    /// recorded, where the schedule was paused or removed, or another process recorded some of them, since `schedule` was
    /// read.
    pub async fn record_due<'a>(
        &self,
        schedule: &Schedule,
        seen_ms: i64,
        dues: &'a [Due],
        now_ms: i64,
    ) -> Result<Option<Vec<&'a Due>>, Error> {
        let mut transaction = self.pool.begin(Access::Write).await?;
        let seen = query(
            "UPDATE schedules SET seen_ms = ?3 \
             WHERE no = ?1 AND seen_ms = ?2 AND NOT paused AND removed_ms IS NULL",
        )
        .bind(schedule.no)
        .bind(schedule.seen_ms)
        .bind(seen_ms)
        .execute(&mut *transaction)
        .await?;
        if seen.rows_affected() == 0 {
            return Ok(None);
        }
        let mut recorded = Vec::new();
        for due in dues {
            let inserted = query(
                "INSERT INTO jobs (schedule, due_ms, run, state, missed, recorded_ms, ended_ms, why) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                 ON CONFLICT (schedule, due_ms) DO NOTHING",
            )
            .bind(schedule.no)
            .bind(due.due_ms)
            .bind(due.run.as_str())
            .bind(due.state.as_str())
            .bind(due.missed)
            .bind(now_ms)
            .bind((!due.state.is_open()).then_some(now_ms))
            .bind(&due.why)
            .execute(&mut *transaction)
            .await?;
            if inserted.rows_affected() > 0 {
                recorded.push(due);
            }
        }
        query(
            "DELETE FROM jobs WHERE schedule = ?1 AND ended_ms IS NOT NULL AND no < \
             (SELECT no FROM jobs WHERE schedule = ?1 ORDER BY no DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(schedule.no)
        .bind(MOST_KEPT)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Some(recorded))
    }

    /// The due times that are not settled, the earliest first.
    pub async fn open_jobs(&self) -> Result<Vec<Job>, Error> {
        let rows = query("SELECT * FROM jobs WHERE ended_ms IS NULL ORDER BY due_ms, no")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(job).collect()
    }

    /// The latest `limit` recorded due times, the newest first; of one schedule where `schedule` is given.
    pub async fn jobs(&self, schedule: Option<i64>, limit: u32) -> Result<Vec<Job>, Error> {
        let rows = query(
            "SELECT * FROM jobs WHERE ?1 IS NULL OR schedule = ?1 ORDER BY due_ms DESC, no DESC LIMIT ?2",
        )
        .bind(schedule)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(job).collect()
    }

    /// Number of due times by state, over all schedules.
    pub async fn job_counts(&self) -> Result<Vec<(JobState, u64)>, Error> {
        let rows = query("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state")
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| Ok((JobState::of(row.try_get(0)?)?, row.try_get::<i64, _>(1)? as u64)))
            .collect()
    }

    /// Notes that a process is about to be started for a job. Returns false where the job is settled.
    pub async fn start_job(&self, no: i64, now_ms: i64) -> Result<bool, Error> {
        let update = query(
            "UPDATE jobs SET state = 'running', starts = starts + 1, started_ms = coalesce(started_ms, ?2), \
             why = NULL WHERE no = ?1 AND ended_ms IS NULL",
        )
        .bind(no)
        .bind(now_ms)
        .execute(&self.pool)
        .await?;
        Ok(update.rows_affected() == 1)
    }

    /// Puts the run of an open job into the queue, also one that has begun. Returns false where it is there already.
    ///
    /// # Errors
    /// [`Error::NoServer`].
    pub async fn submit_job(&self, no: i64, submission: &Submission) -> Result<bool, Error> {
        self.needs_server()?;
        let mut transaction = self.pool.begin(Access::Append).await?;
        // Of several processes one has the row until its transaction ends, and the others find the run in the queue then.
        let job = query(
            "UPDATE jobs SET state = 'running', starts = starts + 1, started_ms = coalesce(started_ms, ?2), why = NULL \
             WHERE no = ?1 AND ended_ms IS NULL",
        )
        .bind(no)
        .bind(submission.submitted_ms)
        .execute(&mut *transaction)
        .await?;
        if job.rows_affected() == 0 || !queue::insert(submission, true, &mut transaction).await? {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes an open job for `hold_ms`: another process gets it only after that.
    pub async fn hold_job(&self, no: i64, now_ms: i64, hold_ms: i64) -> Result<bool, Error> {
        let held = query(
            "UPDATE jobs SET not_before_ms = ?2 + ?3 WHERE no = ?1 AND ended_ms IS NULL AND not_before_ms <= ?2",
        )
        .bind(no)
        .bind(now_ms)
        .bind(hold_ms)
        .execute(&self.pool)
        .await?;
        Ok(held.rows_affected() == 1)
    }

    /// Notes that the run of a job that waited goes on.
    pub async fn job_runs(&self, no: i64) -> Result<(), Error> {
        query("UPDATE jobs SET state = 'running', why = NULL WHERE no = ?1 AND ended_ms IS NULL AND state != 'running'")
            .bind(no)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Notes that a process of a job died at `last_seq`, the `deaths`-th time without a new record.
    pub async fn job_died(
        &self,
        no: i64,
        (deaths, last_seq): (u32, EventSeq),
        not_before_ms: i64,
        why: &str,
    ) -> Result<(), Error> {
        query("UPDATE jobs SET deaths = ?2, last_seq = ?3, not_before_ms = ?4, why = ?5 WHERE no = ?1")
            .bind(no)
            .bind(deaths)
            .bind(last_seq.0 as i64)
            .bind(not_before_ms)
            .bind(why)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Notes what an open job waits for.
    pub async fn note_job(&self, no: i64, why: &str) -> Result<(), Error> {
        query("UPDATE jobs SET why = ?2 WHERE no = ?1 AND ended_ms IS NULL AND why IS DISTINCT FROM ?2")
            .bind(no)
            .bind(why)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Notes that the run of a job is paused until a person answers.
    pub async fn job_waits(&self, no: i64, why: &str) -> Result<(), Error> {
        query("UPDATE jobs SET state = 'waiting', why = ?2 WHERE no = ?1 AND ended_ms IS NULL AND (state != 'waiting' OR why IS DISTINCT FROM ?2)")
            .bind(no)
            .bind(why)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Now by the clock that due times go by, in milliseconds since 1970: the server's, or in a home the computer's.
    pub async fn clock_ms(&self) -> Result<i64, Error> {
        if self.server().is_none() {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            return Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        }
        let row = query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
            .fetch_one(&self.pool)
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Settles a job.
    pub async fn end_job(&self, no: i64, state: JobState, why: &str, now_ms: i64) -> Result<(), Error> {
        query("UPDATE jobs SET state = ?2, why = ?3, ended_ms = ?4 WHERE no = ?1 AND ended_ms IS NULL")
            .bind(no)
            .bind(state.as_str())
            .bind(why)
            .bind(now_ms)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn no_such_schedule(&self, name: &str) -> Result<Error, Error> {
        let names: Vec<String> = self.schedules().await?.into_iter().map(|one| one.settings.name).collect();
        let likeness = |known: &String| strsim::jaro_winkler(name, known);
        let nearest = names
            .into_iter()
            .filter(|known| likeness(known) > 0.8)
            .max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
        Ok(Error::NoSuchSchedule { name: name.chars().take(80).collect(), nearest })
    }
}
