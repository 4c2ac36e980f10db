//! Where a crash replay is kept: a home for a while; and for a run of a server a database for a while of that server, in which each
//! process is that of another worker, which has claimed the run after the one before it was killed.

use crate::error::{Failure, Kind};
use crate::home::{Home, OWNER};
use crate::output;
use crate::scratch::Scratch;
use anyhow::{Context as _, Result};
use sojourn_memory::{Arguments, Owner, QueueState, RunId, ScratchDatabase, Store, Submission};
use sojourn_service::now_ms;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Variable of a worker's process with the address of the database, which may have a password.
const DATABASE: &str = "SOJOURN_CRASH_STORE";

/// Where a replay is kept.
pub(super) struct Stage {
    home: Home,
    run: RunId,
    scratch: Scratch,
    database: Option<ScratchDatabase>,
    /// Processes so far.
    processes: u32,
}

/// The home of the replay in a worker's process.
pub(super) fn home(original: &Home, scratch: &Path) -> Result<Home> {
    original.at(scratch).with_store(std::env::var(DATABASE).ok().as_deref())
}

impl Stage {
    /// An empty one, beside the tables of `home`.
    pub async fn create(home: &Home, run: &RunId) -> Result<Self> {
        let database = match home.server() {
            None => None,
            Some(server) => Some(ScratchDatabase::create(server).await.map_err(|error| {
                Failure::new(Kind::Failure, format!("a database for the replay cannot be made: {error}")).hint(
                    "the replay has a database of its own in the store's server; allow it with \
                     `ALTER ROLE … CREATEDB`, or take the run into a home with `sojourn log export` and `sojourn log import`",
                )
            })?),
        };
        let stage = Self {
            home: home.clone(),
            run: run.clone(),
            scratch: Scratch::create()?,
            database,
            processes: 0,
        };
        if stage.database.is_some() {
            let submission = Submission {
                run: run.clone(),
                path: String::new(),
                agent: String::new(),
                arguments: Arguments::default(),
                labels: Vec::new(),
                submitted_ms: now_ms(),
            };
            stage.store().await?.submit(&submission).await?;
        }
        Ok(stage)
    }

    /// Another one for what must not happen to this one, and how often the run was resumed in it: a copy, or in a server, where copies
    /// are costly, an empty one. No process uses this one.
    pub async fn aside(&self, resumes: u64) -> Result<(Self, u64)> {
        let aside = Self::create(&self.home, &self.run).await?;
        if aside.database.is_some() {
            return Ok((aside, 0));
        }
        copy(self.scratch.path(), aside.scratch.path())?;
        Ok((aside, resumes))
    }

    /// The tables.
    pub async fn store(&self) -> Result<Store> {
        let home = match &self.database {
            None => self.home.at(self.scratch.path()),
            Some(database) => self.home.at_server(self.scratch.path(), database.server()),
        };
        home.store().await
    }

    /// Runs a process of the next worker, which kills itself after the record `crash_at`, or ends after that with the index `until`.
    /// Returns the signal that ended it, if one did.
    pub async fn process(&mut self, crash_at: Option<u64>, until: Option<usize>) -> Result<Option<i32>> {
        self.processes += 1;
        let output = if self.database.is_none() {
            self.spawn(crash_at, until, None)?
        } else {
            let store = self.store().await?;
            let worker = Owner::named(&format!("crash-{}-{}", std::process::id(), self.processes));
            let claimed = store.claim(worker.name(), &[], now_ms()).await?;
            let claimed = claimed.context("the run cannot be claimed")?;
            let output = self.spawn(crash_at, until, Some(worker.name()))?;
            let claim = (claimed.no, claimed.claim);
            store
                .settle_claim(claim, QueueState::Queued, "its process has ended", Duration::ZERO, now_ms())
                .await?;
            store.close().await;
            output
        };
        signal_of(&output)
    }

    fn spawn(&self, crash_at: Option<u64>, until: Option<usize>, worker: Option<&str>) -> Result<Output> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("--home")
            .arg(self.home.path())
            .envs(self.home.variables())
            .env(crate::supervisor::SUPERVISOR, std::process::id().to_string())
            .args(["simulate-crash", self.run.as_str(), "--worker-home"])
            .arg(self.scratch.path());
        if let (Some(database), Some(worker)) = (&self.database, worker) {
            command.env(DATABASE, database.server().url()).env(OWNER, worker);
        } else {
            command.env_remove(DATABASE);
        }
        // With 0 the worker runs to the end.
        command.args(["--at", &crash_at.unwrap_or(0).to_string()]);
        if let Some(until) = until {
            command.args(["--until", &until.to_string()]);
        }
        command.output().context("cannot start a process")
    }

    /// Removes it.
    pub async fn remove(self) {
        if let Some(database) = self.database
            && let Err(error) = database.remove().await
        {
            output::note(format!("the database of the replay is left, and removed by a later one: {error}"));
        }
    }
}

fn signal_of(output: &Output) -> Result<Option<i32>> {
    use std::os::unix::process::ExitStatusExt as _;
    if output.status.signal().is_none() && !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(
            Failure::new(Kind::Failure, format!("the run could not be replayed: {}", reason.trim())).into()
        );
    }
    Ok(output.status.signal())
}

/// Copies a home that no process uses.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
