//! Puts a run together: the log, the library, the sandbox, the models and the environment, handed to the driver.

use crate::agent_file::AgentFile;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::vectors::Vectors;
use crate::{environments, models};
use anyhow::Result;
use sojourn_controller::{Cancel, Controller, ModelInfo, RecordedController};
use sojourn_core::{
    Budgets, ControlRecord, Driver, DriverDeps, Journal, LOG_VERSION, LogRecord, Observer, RecordKind,
    Redactor, ReflexSource, RunConfig, RunMemory, RunOrigin, Started, Tools, now_ms,
};
use sojourn_memory::{EventSeq, NewRun, Record, RecordQuery, RunId, RunInfo, RunStatus, Store};
use sojourn_sandbox::{Sandbox, SandboxConfig, engine_sha256};
use sojourn_skills::{Library, LibraryState};
use sojourn_tools::{Environment, EnvironmentSpec};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

/// A run that is ready to go.
pub struct Session {
    /// Its id.
    pub run: RunId,
    /// What it starts from.
    pub started: Started,
    /// Carries it out.
    pub driver: Driver,
    /// When it was started, milliseconds since 1970.
    pub started_ms: i64,
}

/// What outlives a single run: opened once, used by one or several.
pub struct Workshop {
    /// Where everything is kept.
    pub home: Home,
    /// The log and the memories.
    pub store: Store,
    /// Runs skills.
    pub sandbox: Sandbox,
}

/// The parts of a new run that its caller decides.
pub struct Plan {
    /// The settings.
    pub config: RunConfig,
    /// The reflexes.
    pub reflexes: Vec<ReflexSource>,
    /// What was learned before, and where more goes.
    pub library: Shelf,
    /// A name for people.
    pub title: Option<String>,
    /// The run's id, if it was decided already.
    pub run: Option<RunId>,
}

/// The skill library of a run.
pub enum Shelf {
    /// On disk: what the run learns is added to it.
    Open(Box<Library>),
    /// As it was; what the run changes is forgotten with it.
    Lent(LibraryState),
}

/// Who watches a run and who may stop it.
#[derive(Clone)]
pub struct Watch {
    /// Told of everything.
    pub observer: Arc<dyn Observer>,
    /// Stops the run.
    pub cancel: Cancel,
    /// What nobody may see.
    pub redactor: Redactor,
}

impl Watch {
    /// Where there are no secrets to hide.
    pub fn unguarded(observer: Arc<dyn Observer>, cancel: Cancel) -> Self {
        Self { observer, cancel, redactor: Redactor::default() }
    }
}

/// The models that a run uses.
#[derive(Clone)]
pub struct Minds {
    /// Decides and writes.
    pub controller: Arc<dyn Controller>,
    /// Embeds memories; without one they are found by their words alone.
    pub embedder: Option<Arc<dyn sojourn_controller::Embedder>>,
    /// Where the vectors of memories are.
    pub vectors: Vectors,
    /// What may be asked besides the environment.
    pub tools: Option<Tools>,
}

impl Minds {
    /// Loads the models that an agent file asks for.
    ///
    /// # Errors
    /// When one is not there, or cannot be loaded.
    pub async fn load(agent: &AgentFile, pull: bool) -> Result<Self> {
        let models = models::open()?;
        // The small one first: if it is missing, nobody waits for the large one to load.
        let embedder = if agent.run.memory { models::embedder(agent, &models, pull).await? } else { None };
        let vectors = agent.memory.vectors.clone();
        Ok(Self {
            controller: models::controller(agent, &models, pull).await?,
            embedder,
            vectors,
            tools: None,
        })
    }
}

impl Workshop {
    /// Sets the sandbox up, for runs that are kept in `store`.
    ///
    /// # Errors
    /// When there is no sandbox.
    pub async fn open(home: Home, store: Store) -> Result<Self> {
        Ok(Self { home, store, sandbox: sandbox().await? })
    }

    /// Begins a new run.
    ///
    /// # Errors
    /// When the environment is unknown, a reflex does not compile, or the log cannot be written.
    pub async fn begin(
        &self,
        environment: Box<dyn Environment>,
        plan: Plan,
        minds: &Minds,
        watch: Watch,
    ) -> Result<Session> {
        let created_ms = now_ms();
        let run = plan.run.unwrap_or_else(new_run);
        let model = minds.controller.model().clone();
        let (library, state) = match plan.library {
            Shelf::Open(library) => {
                let state = library.state().clone();
                (Some(*library), state)
            }
            Shelf::Lent(state) => (None, state),
        };
        let started = Started {
            log_version: LOG_VERSION,
            config: plan.config,
            environment: environment.spec().clone(),
            library: state,
            reflexes: plan.reflexes,
            origin: RunOrigin {
                run: run.to_string(),
                model: model.name.clone(),
                engine: engine_sha256().to_owned(),
            },
            model,
        };
        // The settings are the user's words: a secret may be among them.
        let started = watch.redactor.any(started);
        let new = NewRun {
            created_ms,
            title: plan.title,
            ..NewRun::new(run.clone(), &started.environment.name, &started.model.name)
        };
        let writer = self.store.create_run(new).await?;
        let deps = DriverDeps {
            environment,
            controller: Arc::clone(&minds.controller),
            sandbox: self.sandbox.clone(),
            journal: Journal::new(self.store.clone(), Vec::new(), Some(writer)),
            memory: self.memory(minds, &started).await?,
            library,
            tools: minds.tools.clone(),
            observer: watch.observer,
            cancel: watch.cancel,
            redactor: watch.redactor,
        };
        let (driver, started_ms) = Driver::new(started.clone(), deps).await?;
        Ok(Session { run, started, driver, started_ms })
    }

    /// Goes on with an interrupted run: what was recorded happens again, then it is live. `more` is what it may use
    /// up from now on, where that changes; with it a run that had used its budgets up goes on too.
    ///
    /// # Errors
    /// When the run is finished, is being written by another process, or goes on with another model.
    pub async fn resume(
        &self,
        info: &RunInfo,
        environment: Box<dyn Environment>,
        more: Option<Budgets>,
        minds: &Minds,
        watch: Watch,
    ) -> Result<Session> {
        if info.status == RunStatus::Finished && more.is_none() {
            return Err(Failure::new(
                Kind::Usage,
                format!("run `{}` is finished: there is nothing to resume", info.id),
            )
            .hint(format!(
                "give it more with `--resume {} --time 10m`, look at it with `sojourn replay {}`, or start a new run",
                info.id, info.id
            ))
            .into());
        }
        let writer = self.store.resume_run(&info.id).await?;
        let records = self.store.records(&info.id, &RecordQuery::all()).await?;
        let started = self.started(info, records.first()).await?;
        let circumstances = Circumstances::of(&self.store, &started, &records).await?;
        same_world(info, &started.environment, environment.spec())?;
        let model = minds.controller.model();
        if model.name != circumstances.model.name {
            return Err(Failure::new(
                Kind::Usage,
                format!(
                    "run `{}` was started with the model `{}`, not `{}`",
                    info.id, circumstances.model.name, model.name
                ),
            )
            .hint("resume it with the agent file that it was started with")
            .into());
        }
        let deps = DriverDeps {
            environment,
            controller: Arc::clone(&minds.controller),
            sandbox: self.sandbox.clone(),
            journal: Journal::new(self.store.clone(), records, Some(writer))
                .trusting_trials()
                .with_pending_control(ControlRecord::Resumed { budgets: more }),
            memory: self.memory(minds, &started).await?,
            // What a fork learns stays in its log.
            library: if circumstances.forked { None } else { Some(self.home.library().await?) },
            tools: minds.tools.clone(),
            observer: watch.observer,
            cancel: watch.cancel,
            redactor: watch.redactor,
        };
        let (driver, started_ms) = Driver::new(started.clone(), deps).await?;
        Ok(Session { run: info.id.clone(), started, driver, started_ms })
    }

    /// Prepares to run a recorded run again on its recorded answers, writing nothing. What was tried in practice is tried
    /// again, unless its records are trusted.
    ///
    /// # Errors
    /// When it was recorded by another version.
    pub async fn replay(&self, info: &RunInfo, trusting: bool, watch: Watch) -> Result<(Session, u64)> {
        let records = self.store.records(&info.id, &RecordQuery::all()).await?;
        let started = self.started(info, records.first()).await?;
        let recorded = records.len() as u64;
        let journal = Journal::new(self.store.clone(), records, None);
        let deps = DriverDeps {
            environment: environments::of_log(&started.environment),
            controller: Arc::new(RecordedController::new(started.model.clone(), [])),
            sandbox: self.sandbox.clone(),
            journal: if trusting { journal.trusting_trials() } else { journal },
            memory: None,
            library: None,
            tools: None,
            observer: watch.observer,
            cancel: watch.cancel,
            redactor: watch.redactor,
        };
        let (driver, started_ms) = Driver::new(started.clone(), deps).await?;
        Ok((Session { run: info.id.clone(), started, driver, started_ms }, recorded))
    }

    /// What the run was started from, as its first record says.
    pub async fn started(&self, info: &RunInfo, first: Option<&Record>) -> Result<Started> {
        let Some(first) = first.filter(|record| record.seq == EventSeq(1)) else {
            return Err(Failure::new(
                Kind::Failure,
                format!("run `{}` was cut off before its first record", info.id),
            )
            .hint("nothing happened in it: start a new run")
            .into());
        };
        // The version comes first: a log of another version may have another shape.
        let version = first.payload.get("log_version").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(LOG_VERSION)) {
            let version = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
            return Err(Failure::new(
                Kind::Failure,
                format!(
                    "run `{}` has log version {version}; this program reads version {LOG_VERSION}",
                    info.id
                ),
            )
            .hint("use the program that recorded it")
            .into());
        }
        let started: Started = LogRecord::require(&self.store, first).await?.try_into().map_err(|kind| {
            anyhow::anyhow!("the first record of run `{}` is of the kind `{kind}`", info.id)
        })?;
        let here = environments::of_log(&started.environment).spec().version.clone();
        if started.environment.version != here {
            return Err(Failure::new(
                Kind::Failure,
                format!(
                    "run `{}` was recorded with {} {}; this program has {here}",
                    info.id, started.environment.name, started.environment.version
                ),
            )
            .hint("use the program that recorded it")
            .into());
        }
        Ok(started)
    }

    async fn memory(&self, minds: &Minds, started: &Started) -> Result<Option<RunMemory>> {
        if !started.config.memory {
            return Ok(None);
        }
        let memories = minds.vectors.open(self.store.clone()).await?;
        let environment = started.environment.name.clone();
        Ok(Some(RunMemory::new(memories, Home::tenant()?, environment, minds.embedder.clone())))
    }
}

/// What a run goes by at the end of its log: what it was started with, or what its last fork changed.
pub struct Circumstances {
    /// The settings.
    pub config: RunConfig,
    /// The controller's model.
    pub model: ModelInfo,
    /// Whether the run is a fork.
    pub forked: bool,
}

impl Circumstances {
    /// What `records` leave a run with that was started with `started`.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub async fn of(store: &Store, started: &Started, records: &[Record]) -> Result<Self> {
        let mut now = Self { config: started.config.clone(), model: started.model.clone(), forked: false };
        for record in records.iter().filter(|record| RecordKind::Forked.is(record)) {
            let LogRecord::ControlRecord(control) = LogRecord::require(store, record).await? else {
                continue;
            };
            let ControlRecord::Forked { changes, .. } = *control else { continue };
            now.forked = true;
            if let Some(config) = changes.config {
                now.config = *config;
            }
            if let Some(model) = changes.model {
                now.model = *model;
            }
        }
        Ok(now)
    }
}

/// An id for a run that begins now.
pub fn new_run() -> RunId {
    RunId::new(now_ms(), entropy())
}

/// A sandbox whose engine is kept compiled in the user's cache directory.
///
/// # Errors
/// When the engine cannot be loaded.
pub async fn sandbox() -> Result<Sandbox> {
    let cache_dir =
        directories::ProjectDirs::from("", "", "sojourn").map(|dirs| dirs.cache_dir().join("engine"));
    let sandbox =
        tokio::task::spawn_blocking(|| Sandbox::new(SandboxConfig { cache_dir, ..SandboxConfig::default() }));
    Ok(sandbox.await??)
}

/// 16 bits that tell apart runs begun in the same second.
fn entropy() -> u16 {
    // The standard library seeds its hashers from the system.
    std::hash::RandomState::new().build_hasher().finish() as u16
}

/// Throws `cancel` at the first Ctrl-C or `kill`, and ends the process at the second.
pub fn stop_on_ctrl_c(cancel: Cancel) {
    use tokio::signal::unix::{SignalKind, signal};
    tokio::spawn(async move {
        let (Ok(mut interrupts), Ok(mut terminations)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            if asked {
                exit_at_once();
            }
            asked = true;
            crate::output::note("stopping after the step under way; press Ctrl-C again to stop at once");
            cancel.cancel();
        }
    });
}

#[allow(clippy::exit, reason = "the user asked twice, and the log loses at most its last unfinished group")]
fn exit_at_once() -> ! {
    std::process::exit(Kind::Interrupted as i32)
}

/// Whether a run can go on in this world.
fn same_world(info: &RunInfo, then: &EnvironmentSpec, now: &EnvironmentSpec) -> Result<()> {
    if (&then.name, &then.version, &then.actions) == (&now.name, &now.version, &now.actions) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Usage,
        format!(
            "run `{}` lives in `{}` {}, this is `{}` {}",
            info.id, then.name, then.version, now.name, now.version
        ),
    )
    .hint("go on with what it was started with; `sojourn replay` needs no environment")
    .into())
}
