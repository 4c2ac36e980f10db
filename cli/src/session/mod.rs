//! Assembles a run for the driver: log, library, sandbox, models and environment; for a new, a resumed and a replayed run.

mod plan;
mod recorded;
mod stop;

pub use plan::{LibraryHandle, Models, Plan, Watch};
pub use recorded::EffectiveConfig;
pub use stop::{
    SAME_REQUEST, Signals, StopSignal, ask_to_stop, drop_soon, stop_on_ctrl_c, stop_server_on_ctrl_c,
};

use crate::environments;
use crate::error::{Failure, Kind};
use crate::home::Home;
use anyhow::Result;
use recorded::same_world;
use sojourn_controller::RecordedController;
use sojourn_core::{
    Budgets, ControlRecord, Driver, DriverDeps, Journal, LOG_VERSION, RecordKind, Redactor, RunMemory,
    RunOrigin, Started, now_ms,
};
use sojourn_memory::{EventSeq, NewRun, RecordQuery, RunId, RunInfo, RunStatus, Store};
use sojourn_sandbox::{Sandbox, SandboxConfig, engine_sha256};
use sojourn_tools::{Environment, PolicyFile, WithGoals};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

/// A run that is ready to be driven.
pub struct Session {
    /// The run's id.
    pub run: RunId,
    /// The run's first record: settings, environment, model, library.
    pub started: Started,
    /// Carries the run out.
    pub driver: Driver,
    /// The time of the first record, in milliseconds since 1970.
    pub started_ms: i64,
}

/// What runs share: opened once, used by one run or by several.
pub struct RunContext {
    /// The data directory and the known environments.
    pub home: Home,
    /// The log and the memories.
    pub store: Store,
    /// Runs skills; its compiled engine is shared.
    pub sandbox: Sandbox,
}

impl RunContext {
    /// Opens the sandbox for runs whose logs are in `store`.
    ///
    /// # Errors
    /// When the sandbox's engine cannot be loaded.
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
        models: &Models,
        watch: Watch,
    ) -> Result<Session> {
        plan.config.check_bounds().map_err(|error| Failure::new(Kind::Usage, error.to_string()))?;
        let created_ms = now_ms();
        let run = plan.run.unwrap_or_else(new_run);
        let model = models.controller.model().clone();
        let (library, state) = match plan.library {
            LibraryHandle::OnDisk(library) => {
                let state = library.state().of_environment(&environment.spec().name);
                (Some(*library), state)
            }
            LibraryHandle::InMemory(state) => (None, state),
        };
        let started = Started {
            log_version: LOG_VERSION,
            config: plan.config,
            environment: environment.spec().clone(),
            library: state,
            reflexes: plan.reflexes,
            origin: RunOrigin {
                run: run.clone(),
                model: model.name.clone(),
                engine: engine_sha256().to_owned(),
            },
            model,
            by: watch.by,
        };
        // The user wrote the settings: they may contain a secret.
        if let Some(tools) = &started.config.tools {
            check_policy(&tools.policy, &watch.redactor)?;
        }
        let started = watch.redactor.any(started)?;
        let new = NewRun {
            created_ms,
            title: plan.title,
            ..NewRun::new(run.clone(), &started.environment.name, &started.model.name)
        };
        let writer = self.store.start_run(new).await?;
        let deps = DriverDeps {
            environment,
            controller: Arc::clone(&models.controller),
            sandbox: self.sandbox.clone(),
            journal: Journal::new(self.store.clone(), Vec::new(), Some(writer)),
            memory: self.memory(models, &started).await?,
            library,
            tools: models.tools.clone(),
            observer: watch.observer,
            cancel: watch.cancel,
            redactor: watch.redactor,
        };
        let (driver, started_ms) = Driver::new(started.clone(), deps).await?;
        let driver = driver.with_requests(watch.requests);
        Ok(Session { run, started, driver, started_ms })
    }

    /// The policies that the log of a run has.
    ///
    /// # Errors
    /// A record cannot be read.
    pub async fn policies(&self, info: &RunInfo) -> Result<Vec<PolicyFile>> {
        let kinds = [RecordKind::Started, RecordKind::Forked, RecordKind::Resumed].map(RecordKind::as_str);
        let records = self.store.records(&info.id, &RecordQuery::all().kinds(kinds)).await?;
        let started = self.started(info, records.first()).await?;
        Ok(EffectiveConfig::of(&self.store, &started, &records).await?.policies)
    }

    /// Resumes an interrupted run: the recorded part is replayed, then the run is live. `more` replaces the budgets from
    /// there on; with it, a run that had used its budgets up continues. `policy` is that of the local agent file: from
    /// there on the stricter of it and those in the log decides, so the log of a run from elsewhere allows nothing that the
    /// file does not.
    ///
    /// # Errors
    /// When the run is finished, another process writes to it, or its environment or model differs.
    pub async fn resume(
        &self,
        info: &RunInfo,
        environment: Box<dyn Environment>,
        more: Option<Budgets>,
        policy: &PolicyFile,
        models: &Models,
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
        let effective = EffectiveConfig::of(&self.store, &started, &records).await?;
        same_world(info, &started.environment, environment.spec())?;
        let environment = WithGoals::as_recorded(environment, &started.environment);
        let model = models.controller.model();
        if model.name != effective.model.name {
            return Err(Failure::new(
                Kind::Usage,
                format!(
                    "run `{}` was started with the model `{}`, not `{}`",
                    info.id, effective.model.name, model.name
                ),
            )
            .hint("resume it with the agent file that it was started with")
            .into());
        }
        check_policy(policy, &watch.redactor)?;
        let imported = self.store.imported_until(&info.id).await?;
        let untrusted =
            imported.is_some() || (environment.spec().untrusted && !started.environment.untrusted);
        let of_kind =
            |kind: RecordKind| records.iter().filter(move |record| kind.is(record)).map(|record| record.seq);
        let has_since = |last: EventSeq, kind| of_kind(kind).any(|seq| seq > last);
        let resumed = ControlRecord::Resumed {
            budgets: more,
            policy: effective.misses(policy).then(|| Box::new(policy.clone())),
            untrusted,
            // Once: what the run learned here since then is this home's own.
            foreign: imported.is_some_and(|last| !has_since(last, RecordKind::Resumed)),
            confined: imported.is_some(),
            by: watch.by,
        };
        let copied = of_kind(RecordKind::Forked).next_back().unwrap_or(EventSeq(0));
        let deps = DriverDeps {
            environment,
            controller: Arc::clone(&models.controller),
            sandbox: self.sandbox.clone(),
            journal: Journal::new(self.store.clone(), records, Some(writer))
                .trusting_trials()
                .with_foreign(imported.unwrap_or(EventSeq(0)), copied)
                .with_pending_control(resumed),
            memory: self.memory(models, &started).await?,
            // The skills of a fork, and of a run from elsewhere, stay in its log.
            library: if effective.forked || imported.is_some() {
                None
            } else {
                Some(self.home.library().await?)
            },
            tools: models.tools.clone(),
            observer: watch.observer,
            cancel: watch.cancel,
            redactor: watch.redactor,
        };
        let (driver, started_ms) = Driver::new(started.clone(), deps).await?;
        let driver = driver.with_requests(watch.requests);
        Ok(Session { run: info.id.clone(), started, driver, started_ms })
    }

    /// Prepares to replay a run on its recorded answers without writing anything; returns the number of its records too.
    /// Practice is repeated, unless `trusting` takes its results from the records.
    ///
    /// # Errors
    /// When the run was recorded by another version.
    pub async fn replay(&self, info: &RunInfo, trusting: bool, watch: Watch) -> Result<(Session, u64)> {
        let records = self.store.records(&info.id, &RecordQuery::all()).await?;
        let started = self.started(info, records.first()).await?;
        let recorded = records.len() as u64;
        let journal = Journal::new(self.store.clone(), records, None);
        let deps = DriverDeps {
            environment: environments::of_log(self.home.environments(), &started.environment),
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

    async fn memory(&self, models: &Models, started: &Started) -> Result<Option<RunMemory>> {
        if !started.config.memory {
            return Ok(None);
        }
        let memories = models.vectors.open(self.store.clone()).await?;
        let environment = started.environment.name.clone();
        Ok(Some(RunMemory::new(memories, Home::tenant()?, environment, models.embedder.clone())))
    }
}

/// Refuses a policy with a secret in it: the log would keep another policy than the one that decides.
fn check_policy(policy: &PolicyFile, redactor: &Redactor) -> Result<()> {
    if redactor.any(policy.clone()).is_ok_and(|redacted| redacted == *policy) {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, "the policy contains the value of a secret".to_owned())
        .hint("describe the arguments of the rule without it, for example by `.*`")
        .into())
}

/// A new id for a run that begins now.
pub fn new_run() -> RunId {
    RunId::new(now_ms(), entropy())
}

/// A sandbox whose compiled engine is cached in the user's cache directory.
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

/// 16 random bits, which distinguish runs that begin in the same second.
fn entropy() -> u16 {
    // The standard library seeds its hashers from the system.
    std::hash::RandomState::new().build_hasher().finish() as u16
}
