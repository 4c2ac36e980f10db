//! Copies a whole store into a new one, of either engine: a home into a server, a server into a home.
//!
//! The copy is a snapshot of the source: one transaction reads it. Rows keep their numbers. The target is marked as an
//! unfinished copy of this source, so nothing else opens it, and a copy that was killed goes on where it was. At the end both stores
//! are read again, side by side: every row of each must be in the other, which a SHA-256 of each table on each side says,
//! and the chain of every run is verified in the target.

mod tables;

use crate::log::note_copied_head;
use crate::memories::refresh_words;
use crate::{Error, Head, RunId, RunStatus, Store};
use serde::Serialize;
use sojourn_database::{Access, Connection, Engine, Table, query};
use std::ops::ControlFlow;
use tables::{GROWING, TABLES};

/// Pages of a table that one transaction writes.
const PAGES: usize = 8;

/// What a copy is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStep {
    /// Rows of this table are copied.
    Copying(&'static str),
    /// This table is compared with the copy.
    Comparing(&'static str),
    /// The chains of hashes of the copied runs are verified.
    Verifying,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// What it is busy with.
    pub step: CopyStep,
    /// Rows, or runs, that are done in this step.
    pub done: u64,
    /// All of them.
    pub of: u64,
}

/// Watches a copy, and may stop it: it goes on where it was when it is begun again.
pub type CopyWatch<'w> = &'w mut (dyn FnMut(CopyProgress) -> ControlFlow<()> + Send);

/// A table of both stores after the copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopiedTable {
    /// Its name.
    pub table: &'static str,
    /// Rows, in each of the stores.
    pub rows: u64,
    /// The SHA-256 of all rows in the order of their keys, computed from the source, in hexadecimal. The one that was computed from
    /// the copy is the same.
    pub sha256: String,
}

/// A copy that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyReport {
    /// All tables.
    pub tables: Vec<CopiedTable>,
    /// Rows that this call copied; those that it found were copied before.
    pub copied: u64,
    /// Whether the target was the same before, and nothing was to be done.
    pub already: bool,
    /// Whether it started over, because the source has changed since an earlier, unfinished copy.
    pub restarted: bool,
    /// Runs whose chain of hashes is intact.
    pub verified: u64,
    /// Runs whose chain is not, with the fault; the source has the same.
    pub faults: Vec<(RunId, String)>,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The target has something else than the source.
    #[error("the target has other content than the source: {what}")]
    OtherContent {
        /// The first difference, as a clause.
        what: String,
    },
    /// A run of the source is under way.
    #[error("run `{run}` is under way in the source")]
    Live {
        /// The run.
        run: RunId,
    },
    /// The queue of the source has runs that are not over; a queue is not copied.
    #[error("the queue of the source has runs that are not over: {runs}, and a queue is not copied")]
    Queue {
        /// Their number.
        runs: u64,
    },
    /// The watch stopped it.
    #[error("the copy was stopped")]
    Stopped,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What the target was when the copy began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// Nothing is in it.
    Empty,
    /// It is an unfinished copy of the source.
    Unfinished,
    /// It has something, which may be the same.
    InUse,
}

impl Store {
    /// Copies this store into `to`, which must be new, an unfinished copy of this store, or the same already. The copy stays marked as
    /// unfinished until [`finish_copy`](Self::finish_copy). What was copied is this store at one moment.
    ///
    /// # Errors
    /// [`CopyError`]. Nothing of a target with other content is changed; after any other error the same call goes on.
    pub async fn copy_to(&self, to: &Self, watch: CopyWatch<'_>) -> Result<CopyReport, CopyError> {
        self.check_quiet().await?;
        let mut source = self.connection().await?;
        source
            .run(match source.engine() {
                Engine::Sqlite => "BEGIN",
                Engine::Postgres => {
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0"
                }
            })
            .await?;
        let mut target = to.connection().await?;
        let mark = mark(&mut source).await?;
        let found = found(&mut target, &mark).await?;
        if found == Target::Empty {
            query("INSERT INTO unfinished_copy VALUES (1, ?)").bind(&mark).execute(&mut target).await?;
        }
        let mut work = Work { source, target, watch, copied: 0 };
        if found != Target::InUse {
            work.copy().await?;
        }
        let mut restarted = false;
        let tables = match work.compare().await {
            // Rows that were there before may be of another moment.
            Err(CopyError::OtherContent { .. }) if found == Target::Unfinished => {
                restarted = true;
                work.clear().await?;
                work.copy().await?;
                work.compare().await?
            }
            compared => compared?,
        };
        let copied = work.copied;
        let Work { source, target, watch, .. } = work;
        target.close().await?;
        source.close().await?;
        let (verified, faults) = to.verify_copies(watch).await?;
        let already = found == Target::InUse;
        Ok(CopyReport { tables, copied, already, restarted, verified, faults })
    }

    /// Ends a copy into this store: it is a store like any other from here on.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn finish_copy(&self) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        if query("SELECT 1 FROM unfinished_copy").fetch_optional(&mut connection).await?.is_none() {
            return Ok(connection.close().await?);
        }
        // The words of texts are indexed in each engine's own way.
        query("UPDATE memory_store SET folding = 0").execute(&mut connection).await?;
        refresh_words(&mut connection).await?;
        query("DELETE FROM unfinished_copy").execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Refuses a source that runs are written to, or whose queue has more than the tables that are copied.
    async fn check_quiet(&self) -> Result<(), CopyError> {
        for run in self.runs().await? {
            if run.status == RunStatus::Running && self.is_live(&run.id).await? {
                return Err(CopyError::Live { run: run.id });
            }
        }
        if self.server().is_some() {
            let open =
                query("SELECT count(*) FROM queue WHERE ended_ms IS NULL").fetch_one(&self.pool).await?;
            let runs = open.try_get::<i64, _>(0)?.unsigned_abs();
            if runs > 0 {
                return Err(CopyError::Queue { runs });
            }
        }
        Ok(())
    }

    /// Verifies every run, and notes the heads of a home.
    async fn verify_copies(&self, watch: CopyWatch<'_>) -> Result<(u64, Vec<(RunId, String)>), CopyError> {
        let (runs, mut verified, mut faults) = (self.runs().await?, 0, Vec::new());
        let of = runs.len() as u64;
        for (done, run) in runs.into_iter().enumerate() {
            let report = self.verify(&run.id, |_, _| {}).await?;
            match report.first_fault {
                None => verified += 1,
                Some(fault) => {
                    faults.push((run.id.clone(), format!("record {}: {}", fault.seq, fault.detail)));
                }
            }
            if let Some(home) = self.own_home() {
                let head =
                    Head { run: run.id.clone(), seq: run.last_seq, hash: self.run_row(&run.id).await?.head };
                note_copied_head(home, &head)?;
            }
            let progress = CopyProgress { step: CopyStep::Verifying, done: done as u64 + 1, of };
            if watch(progress).is_break() {
                return Err(CopyError::Stopped);
            }
        }
        Ok((verified, faults))
    }
}

/// A copy under way.
struct Work<'w> {
    /// In a transaction that sees one moment.
    source: Connection<'static>,
    target: Connection<'static>,
    watch: CopyWatch<'w>,
    copied: u64,
}

impl Work<'_> {
    async fn copy(&mut self) -> Result<(), CopyError> {
        for table in TABLES {
            self.copy_table(table).await?;
        }
        let tick: i64 =
            query("SELECT tick FROM memory_clock").fetch_one(&mut self.source).await?.try_get(0)?;
        query("UPDATE memory_clock SET tick = ?").bind(tick).execute(&mut self.target).await?;
        for table in TABLES.iter().filter(|table| table.numbered) {
            self.copy_counter(table).await?;
        }
        Ok(())
    }

    async fn copy_table(&mut self, table: &Table) -> Result<(), CopyError> {
        let step = CopyStep::Copying(table.name);
        let of = table.count(&mut self.source).await?;
        let (mut after, mut done) = (None, 0);
        if GROWING.contains(&table.name) {
            after = table.last_key(&mut self.target).await?;
            done = table.count(&mut self.target).await?;
        }
        loop {
            if (self.watch)(CopyProgress { step, done, of }).is_break() {
                return Err(CopyError::Stopped);
            }
            let mut transaction = self.target.begin(Access::Append).await?;
            let mut is_last = false;
            for _ in 0..PAGES {
                let rows = table.rows(&mut self.source, after.as_deref()).await?;
                let Some(last) = rows.last() else {
                    is_last = true;
                    break;
                };
                after = Some(table.key_of(last).to_vec());
                done += rows.len() as u64;
                self.copied += rows.len() as u64;
                table.write(&mut transaction, rows).await?;
            }
            transaction.commit().await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// The next number of a row is what it would be in the source: numbers of rows that were deleted are not given again.
    async fn copy_counter(&mut self, table: &Table) -> Result<(), CopyError> {
        let key = table.columns[0].0;
        let last = match table.last_key(&mut self.source).await?.as_deref() {
            Some([sojourn_database::Value::Integer(Some(last))]) => *last,
            _ => 0,
        };
        let counted = match self.source.engine() {
            Engine::Sqlite => query("SELECT seq FROM sqlite_sequence WHERE name = ?").bind(table.name),
            Engine::Postgres => query(
                "SELECT last_value FROM pg_sequences WHERE schemaname = current_schema() AND sequencename = ?",
            )
            .bind(format!("{}_{key}_seq", table.name)),
        };
        let counted = counted.fetch_optional(&mut self.source).await?;
        let counted = counted.map(|row| row.try_get::<Option<i64>, _>(0)).transpose()?.flatten();
        let last = last.max(counted.unwrap_or(0));
        if last == 0 {
            return Ok(());
        }
        match self.target.engine() {
            // Of a table without a counter, SQLite ignores the row.
            Engine::Sqlite => {
                query("DELETE FROM sqlite_sequence WHERE name = ?")
                    .bind(table.name)
                    .execute(&mut self.target)
                    .await?;
                query("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)")
                    .bind(table.name)
                    .bind(last)
                    .execute(&mut self.target)
                    .await?;
            }
            Engine::Postgres => {
                query("SELECT setval(pg_get_serial_sequence(?1, ?2), ?3)")
                    .bind(table.name)
                    .bind(key)
                    .bind(last)
                    .fetch_one(&mut self.target)
                    .await?;
            }
        }
        Ok(())
    }

    async fn compare(&mut self) -> Result<Vec<CopiedTable>, CopyError> {
        let mut all = Vec::new();
        for table in TABLES {
            let step = CopyStep::Comparing(table.name);
            let of = table.count(&mut self.source).await?;
            let watch = &mut *self.watch;
            let each = |done| watch(CopyProgress { step, done, of }).is_continue();
            let compared = table.compare(&mut self.source, &mut self.target, each).await?;
            let compared = compared.ok_or(CopyError::Stopped)?;
            let other = |key: &str| CopyError::OtherContent {
                what: format!("row {key} of the table `{}` differs, or one of them lacks it", table.name),
            };
            if let Some(key) = &compared.first_difference {
                return Err(other(key));
            }
            if compared.sha256[0] != compared.sha256[1] || compared.rows[0] != compared.rows[1] {
                return Err(other("?"));
            }
            let [sha256, _] = compared.sha256.map(hex::encode);
            all.push(CopiedTable { table: table.name, rows: compared.rows[0], sha256 });
        }
        let tick = "SELECT tick FROM memory_clock";
        let [one, other] = [
            query(tick).fetch_one(&mut self.source).await?.try_get::<i64, _>(0)?,
            query(tick).fetch_one(&mut self.target).await?.try_get::<i64, _>(0)?,
        ];
        if one != other {
            return Err(CopyError::OtherContent { what: "its memories were changed".to_owned() });
        }
        Ok(all)
    }

    /// Removes all rows of the target, those first that refer to others.
    async fn clear(&mut self) -> Result<(), CopyError> {
        let mut transaction = self.target.begin(Access::Append).await?;
        for table in TABLES.iter().rev() {
            table.clear(&mut transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// The id of a store.
async fn mark(connection: &mut Connection<'_>) -> Result<Vec<u8>, Error> {
    Ok(query("SELECT mark FROM memory_store").fetch_one(connection).await?.try_get(0)?)
}

async fn found(target: &mut Connection<'_>, source: &[u8]) -> Result<Target, CopyError> {
    let unfinished = query("SELECT source FROM unfinished_copy").fetch_optional(&mut *target).await?;
    if let Some(row) = unfinished {
        let of: Vec<u8> = row.try_get(0)?;
        return if of == source {
            Ok(Target::Unfinished)
        } else {
            Err(CopyError::OtherContent { what: "it is an unfinished copy of another store".to_owned() })
        };
    }
    for table in TABLES {
        if table.last_key(target).await?.is_some() {
            return Ok(Target::InUse);
        }
    }
    let tick: i64 = query("SELECT tick FROM memory_clock").fetch_one(target).await?.try_get(0)?;
    Ok(if tick == 0 { Target::Empty } else { Target::InUse })
}

/// Refuses a store that is an unfinished copy.
pub(crate) async fn check_finished(connection: &mut Connection<'_>, place: &str) -> Result<(), Error> {
    let unfinished = query("SELECT 1 FROM unfinished_copy").fetch_optional(connection).await?;
    match unfinished {
        Some(_) => Err(Error::UnfinishedCopy { place: place.to_owned() }),
        None => Ok(()),
    }
}
