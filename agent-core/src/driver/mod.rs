//! The driver carries out the core's effects and logs them: the intent before an effect, its result after it.
//!
//! Everything outside the core is reached from here: the environment, the controller, the sandbox, memory, the clock.
//! Each effect has its handler in the file of its subject; [`carry_out`](Driver::carry_out) only dispatches.

mod clock;
mod controller_calls;
mod episode;
mod executor;
mod frames;
mod journal;
mod journal_recorder;
mod library;
mod loaded_skills;
mod log_budget;
mod looking;
mod memory_effects;
mod observer;
mod provenance;
mod redact;
mod redacted_environment;
mod replay;
mod requests;
mod restrictions;
mod run_media;
mod run_memory;
mod spans;
mod time_limit;
mod tool_calls;
mod tool_changes;
mod toolkit;
mod trials;

pub use clock::{Clock, RecordIndex, RunningTime, TimeSource};
pub use executor::ExecutorError;
pub use journal::{Journal, JournalError, Noted, now_ms};
pub use observer::{LongWork, Notice, Observer, Silent};
pub use provenance::{Provenance, attachment};
pub use redact::{Redactor, Unredactable};
pub use redacted_environment::RedactedEnvironment;
pub use replay::{RecordedRun, ReplayPosition};
pub use requests::{AskedGoal, GoalSituation, Requests};
pub use run_memory::{RunMemory, Texts};
pub use toolkit::{Approval, Approver, Question, Tools, Unattended, call_hash};
pub use trials::{HealingPlan, heal_recording};
pub use trials::{SingleRun, StandaloneTrials, SurveyPlan, run_once, survey};

use crate::core::Core;
use crate::model::{
    ControlRecord, Effect, Event, FinishReason, LogRecord, RecordKind, Started, TimedControl,
};
use executor::{LiveReflex, LoadedSkill};
use frames::{FrameMoment, Frames};
use replay::ReplayingEnvironment;
use restrictions::Restrictions;
use run_media::RunMedia;
use serde::Serialize;
use sojourn_controller::{Cancel, Controller};
use sojourn_memory::{Durability, RunId, RunStatus};
use sojourn_sandbox::{Program, Sandbox};
use sojourn_skills::{Library, LibraryError, SkillId};
use sojourn_tools::{Environment, PolicedEnvironment};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use time_limit::TimeLimit;
use tokio::sync::Mutex;
use tool_changes::ToolChangesTaken;
use toolkit::Toolkit;
use tracing::Instrument as _;

/// Runs one agent: the core, and everything that its effects need.
pub struct Driver {
    core: Core,
    /// `None` while a skill runs in it.
    environment: Option<Box<dyn Environment>>,
    /// Worlds of the trials before, for the next ones.
    practice_worlds: Vec<Box<dyn Environment>>,
    controller: Arc<dyn Controller>,
    sandbox: Sandbox,
    journal: Arc<Mutex<Journal>>,
    /// `None` when the run is only replayed, or has no memory.
    memory: Option<RunMemory>,
    /// The library on disk; `None` when the run is only replayed.
    library: Option<Library>,
    observer: Arc<dyn Observer>,
    cancel: Cancel,
    redactor: Redactor,
    run: RunId,
    /// The active reflexes, the first to be asked first: those of the run, then those of the library.
    reflexes: Vec<LiveReflex>,
    /// The reflexes that the run was started with.
    given: Vec<LiveReflex>,
    /// Learned reflexes that do not act, because another home wrote them.
    disowned: BTreeSet<SkillId>,
    /// Whether somebody else may have written the log: its skills get no tools of the agent file.
    confined: bool,
    programs: BTreeMap<SkillId, Program>,
    skills: Arc<BTreeMap<String, LoadedSkill>>,
    /// Tools that do not belong to the environment; `None` in a run without any.
    toolkit: Option<Toolkit>,
    /// The policies that bound the calls of tools, and the actions of a world that other programs compute.
    restrictions: Restrictions,
    /// Pictures of the world.
    frames: Arc<Frames>,
    episode_step: u64,
    /// Whether a budget was nearly used up at the last event.
    budget_is_near: bool,
    /// The changes of the tools that were taken over.
    tool_changes: ToolChangesTaken,
    /// Requests of people to the run; `None` in a replay.
    requests: Option<Arc<dyn Requests>>,
}

/// The share of a budget from which on it is nearly used up.
const NEARLY_USED: f64 = 0.8;

/// What [`Driver::new`] needs from outside.
pub struct DriverDeps {
    /// The world of the run's episodes.
    pub environment: Box<dyn Environment>,
    /// The model.
    pub controller: Arc<dyn Controller>,
    /// Runs skills and reflexes.
    pub sandbox: Sandbox,
    /// The log.
    pub journal: Journal,
    /// Memory; `None` where the run has none, or is only replayed.
    pub memory: Option<RunMemory>,
    /// The library on disk; `None` where the run must not change it.
    pub library: Option<Library>,
    /// Tools that do not belong to the environment; `None` where there are none, or the run is only replayed.
    pub tools: Option<Tools>,
    /// Receives notices while the run goes on.
    pub observer: Arc<dyn Observer>,
    /// Stops the run after the current step.
    pub cancel: Cancel,
    /// Removes secrets from everything that enters the log or a request.
    pub redactor: Redactor,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// The core finished it.
    Finished(FinishReason),
    /// It was interrupted and can be resumed.
    Interrupted,
    /// The recorded part was replayed to its end.
    Replayed {
        /// Number of records that matched.
        matched: u64,
    },
}

/// Why a run stopped with an error. The records written before stay valid.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The log diverged, ended or failed.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// The environment failed.
    #[error("{0}")]
    Executor(#[source] ExecutorError),
    /// The sandbox could not load a module, or ran out of instances.
    #[error("the sandbox failed: {0}")]
    Sandbox(String),
    /// The library on disk could not be changed.
    #[error("{0}")]
    Library(#[from] LibraryError),
    /// Memory failed.
    #[error("memory failed: {0}")]
    Memory(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A value could not be written as JSON.
    #[error("not serialisable: {0}")]
    Json(#[from] serde_json::Error),
    /// A value could not be recorded without a secret.
    #[error(transparent)]
    Secret(#[from] Unredactable),
    /// The run cannot be driven as it was set up or recorded.
    #[error("{0}")]
    Unusable(String),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The run's time was used up during an effect.
    #[error("the time budget is used up")]
    OutOfTime,
}

impl From<ExecutorError> for DriveError {
    fn from(error: ExecutorError) -> Self {
        match error {
            ExecutorError::Journal(error) => Self::Journal(error),
            ExecutorError::Interrupted => Self::Interrupted,
            ExecutorError::OutOfTime => Self::OutOfTime,
            other => Self::Executor(other),
        }
    }
}

/// What follows an effect that is answered or ends the run.
enum Step {
    Next { at_ms: i64, event: Box<Event> },
    Finished(FinishReason),
}

impl Driver {
    /// Starts, resumes or replays a run, depending on the journal. While the journal replays, `started` must equal the
    /// recorded first record. Returns the driver and the time of the first record in milliseconds since 1970.
    ///
    /// # Errors
    /// When `started` differs from the record, or a reflex does not compile.
    pub async fn new(started: Started, mut deps: DriverDeps) -> Result<(Self, i64), DriveError> {
        let engine = sojourn_sandbox::engine_sha256();
        if started.origin.engine != engine {
            return Err(DriveError::Unusable(format!(
                "the run was recorded with another version of the skills' engine ({}, this program has {}): \
                 use the program that recorded it",
                started.origin.engine.get(..12).unwrap_or(&started.origin.engine),
                &engine[..12]
            )));
        }
        let restrictions = Restrictions::default();
        if let Some(settings) = &started.config.tools {
            restrictions.restrict(&settings.policy)?;
        }
        if !started.environment.deterministic {
            deps.environment = PolicedEnvironment::wrap(deps.environment, Arc::new(restrictions.clone()));
            deps.environment = RedactedEnvironment::wrap(deps.environment, &deps.redactor);
            deps.environment = Box::new(ReplayingEnvironment::new(deps.environment, &deps.journal).await?);
        }
        let media = Arc::new(RunMedia::new(deps.journal.store().clone(), deps.redactor.clone()));
        deps.journal = deps.journal.with_media(Arc::clone(&media)).with_budget(&started.config.budgets);
        let noted = deps.journal.note(&started).await?;
        let mut reflexes = Vec::new();
        let limits = started.config.actor.tick_limits();
        for reflex in &started.reflexes {
            let wasm = deps
                .sandbox
                .compile(&reflex.name, &reflex.source)
                .await
                .map_err(|error| DriveError::Unusable(format!("reflex `{}`: {error}", reflex.name)))?;
            let program = deps.sandbox.load(&wasm).map_err(|error| DriveError::Sandbox(error.to_string()))?;
            reflexes.push(LiveReflex::new(&reflex.name, deps.sandbox.reflex(&program, &limits), 0));
        }
        let run = started.origin.run.clone();
        let journal = Arc::new(Mutex::new(deps.journal));
        let frames = Frames::new(
            Arc::clone(&journal),
            Arc::clone(&media),
            Arc::clone(&deps.observer),
            &started.environment.name,
        );
        let toolkit = started.config.tools.as_ref().map(|_| {
            Toolkit::new(
                deps.tools,
                restrictions.clone(),
                run.clone(),
                Arc::clone(&journal),
                media,
                deps.cancel.clone(),
                deps.redactor.clone(),
            )
        });
        let core = Core::new(started.config, started.environment, started.library, started.origin);
        let mut driver = Self {
            core,
            environment: Some(deps.environment),
            practice_worlds: Vec::new(),
            controller: deps.controller,
            sandbox: deps.sandbox,
            journal,
            memory: deps.memory,
            library: deps.library,
            observer: deps.observer,
            cancel: deps.cancel,
            redactor: deps.redactor,
            run,
            reflexes: reflexes.clone(),
            given: reflexes,
            disowned: BTreeSet::new(),
            confined: false,
            programs: BTreeMap::new(),
            skills: Arc::default(),
            toolkit,
            restrictions,
            frames: Arc::new(frames),
            episode_step: 0,
            budget_is_near: false,
            tool_changes: ToolChangesTaken::default(),
            requests: None,
        };
        driver.load_library()?;
        Ok((driver, noted.at_ms))
    }

    /// Runs to the end, to an interruption, or to the end of the recorded part.
    ///
    /// # Errors
    /// When something outside the core failed or the log diverged. The records written before are durable in any case.
    pub async fn run(self, started_ms: i64) -> Result<(Outcome, Core), DriveError> {
        let span = spans::agent(&self.core.spec().name, self.run.as_str(), &self.controller.model().name);
        Box::pin(self.run_loop(started_ms)).instrument(span).await
    }

    async fn run_loop(mut self, started_ms: i64) -> Result<(Outcome, Core), DriveError> {
        let mut effects = self.core.start(started_ms);
        // The effects of a run that was finished follow all control records here, so that nothing may come between.
        let mut reopened = false;
        let result = loop {
            let entered = match self.update_tools().await {
                Ok(_) if !std::mem::take(&mut reopened) => self.take_up_goals(&effects).await,
                entered => entered.map(|_| ()),
            };
            let step = match entered {
                Ok(()) => Box::pin(self.carry_out(effects)).await,
                Err(error) => Err(error),
            };
            match step {
                Ok(Step::Next { at_ms, event }) => {
                    let pauses = self.journal.lock().await.take_pauses();
                    if let Err(error) = self.apply_each(&pauses) {
                        break Err(error);
                    }
                    self.core.at_record(self.journal.lock().await.seq());
                    effects = self.core.apply(at_ms, *event);
                    self.watch_budget().await;
                }
                Ok(Step::Finished(reason)) => match self.apply_controls().await {
                    // A later process resumed the finished run. The first decision already knows that process's tools, as it
                    // does in a replay, where the records of both stand here.
                    Ok(Some(at_ms)) => match self.update_tools().await {
                        Ok(later_ms) => {
                            effects = self.core.reopen(later_ms.unwrap_or(at_ms));
                            reopened = true;
                        }
                        Err(error) => break Err(error),
                    },
                    Ok(None) => break Ok(Outcome::Finished(reason)),
                    Err(error) => break Err(error),
                },
                Err(DriveError::Interrupted) => break Ok(Outcome::Interrupted),
                Err(DriveError::Journal(JournalError::End)) => {
                    break Ok(Outcome::Replayed { matched: self.journal.lock().await.matched() });
                }
                Err(_) if self.cancel.is_cancelled() => break Ok(Outcome::Interrupted),
                Err(error) => break Err(error),
            }
        };
        if matches!(result, Ok(Outcome::Interrupted)) {
            self.note_pause().await?;
        }
        self.close(&result).await?;
        Ok((result?, self.core))
    }

    /// Reports once that a budget is nearly used up. A budget that was extended is reported again.
    async fn watch_budget(&mut self) {
        let Some((budget, share)) = self.core.used_budget() else { return };
        let is_near = share >= NEARLY_USED;
        let was_near = std::mem::replace(&mut self.budget_is_near, is_near);
        if is_near && !was_near {
            let noted = Some(self.journal.lock().await.latest());
            self.observer.notice(&Notice::BudgetNearlyUsed { budget, share, noted });
        }
    }

    /// Logs each effect and carries it out. The last one is answered or ends the run.
    async fn carry_out(&mut self, effects: Vec<Effect>) -> Result<Step, DriveError> {
        for mut effect in effects {
            if let Effect::AskController { request, .. } = &mut effect {
                self.core.instruct(request);
                *request = self.redactor.any(request.clone())?;
            }
            if self.cancel.is_cancelled() {
                return Err(DriveError::Interrupted);
            }
            if matches!(effect, Effect::Finish { .. }) {
                self.take_frame(FrameMoment::End).await?;
            }
            let noted = self.journal.lock().await.note(&effect).await?;
            // The log says that another process resumes the run before that process does anything.
            self.journal.lock().await.read_controls().await?;
            match effect {
                Effect::ChangeLibrary { change } => self.change_library(&change, noted).await?,
                Effect::Remember { memory } => self.remember(&memory, noted).await?,
                Effect::Consolidate { edits } => self.consolidate(&edits, noted).await?,
                Effect::CreditMemories { memories, helped } => {
                    self.credit_memories(&memories, helped, noted).await?;
                }
                Effect::ReportMilestone { milestone } => {
                    self.observer.notice(&Notice::Milestone { milestone: &milestone, noted });
                }
                Effect::Finish { reason } => return Ok(Step::Finished(reason)),
                Effect::StartEpisode { seed } => return self.start_episode(seed).await,
                Effect::Act { call, max_steps } => {
                    self.frames.begin_act();
                    return self.act(&call, max_steps).await;
                }
                Effect::ObserveStarts { task, seeds } => return self.observe_starts(&task, &seeds).await,
                Effect::Explore { plan } => return self.explore(&plan).await,
                Effect::Discover { plan } => return self.discover(&plan).await,
                Effect::TryCandidates { plan } => return self.try_candidates(&plan).await,
                Effect::RetestSkills { skills } => return self.retest_skills(&skills).await,
                Effect::TryReflexes { plan } => return self.try_reflexes(&plan).await,
                Effect::Look {} => return self.look().await,
                Effect::CallTool { call, untrusted } => return self.call_tool(&call, untrusted).await,
                Effect::Recall { query, limit, lessons, tools } => {
                    return self.recall(&query, limit, lessons, tools).await;
                }
                Effect::AskController { purpose, request } => {
                    return self.ask_controller(purpose, request).await;
                }
            }
        }
        Err(DriveError::Unusable("the core requested no effect that is answered".to_owned()))
    }

    /// Logs an event that the driver produced, without secrets; while the journal replays it must equal the record.
    async fn derived(&self, event: Event) -> Result<Step, DriveError> {
        let event = self.redactor.any(event)?;
        let noted = self.journal.lock().await.note(&event).await?;
        Ok(Step::Next { at_ms: noted.at_ms, event: Box::new(event) })
    }

    /// The recorded event at this place; `None` where the recorded part has ended.
    async fn recorded(&self, kinds: &[RecordKind]) -> Result<Option<Step>, DriveError> {
        let Some((noted, record)) = self.journal.lock().await.recall(kinds).await? else { return Ok(None) };
        match record {
            LogRecord::Event(event) => Ok(Some(Step::Next { at_ms: noted.at_ms, event })),
            other => Err(DriveError::Unusable(format!("a `{}` record is no event", other.kind()))),
        }
    }

    /// The end of the run's time, for the effect that is about to be carried out.
    async fn time_limit(&mut self) -> Result<TimeLimit, DriveError> {
        // A pause or a clock that was set since the last event moves the end.
        let pauses = self.journal.lock().await.take_pauses();
        self.apply_each(&pauses)?;
        Ok(self.journal.lock().await.time_limit(self.core.deadline_ms()))
    }

    /// Logs the result of an effect, or that the time was over before there was one.
    async fn in_time(&self, result: Result<Event, DriveError>) -> Result<Step, DriveError> {
        match result {
            Ok(event) => self.derived(event).await,
            Err(DriveError::OutOfTime) => self.derived(Event::OutOfTime {}).await,
            Err(error) => Err(error),
        }
    }

    /// Makes all records so far durable.
    async fn commit(&self) -> Result<(), DriveError> {
        Ok(self.journal.lock().await.commit(Durability::Effect).await?)
    }

    /// Applies the control records at this place of the log. Returns the time of the last resume or fork among them.
    async fn apply_controls(&mut self) -> Result<Option<i64>, DriveError> {
        let controls = self.journal.lock().await.take_controls().await?;
        self.apply_each(&controls)
    }

    /// Applies control records in their order. Returns the time of the last resume or fork among them.
    fn apply_each(&mut self, controls: &[TimedControl]) -> Result<Option<i64>, DriveError> {
        let mut resumed_ms = None;
        match &self.toolkit {
            Some(toolkit) => toolkit.heed(controls)?,
            None => self.restrictions.heed(controls)?,
        }
        for control in controls {
            self.core.apply_control(control);
            match &control.record {
                ControlRecord::Forked { changes, .. } => {
                    // The library on disk belongs to the run that this one was forked from.
                    self.run.clone_from(&changes.run);
                    self.library = None;
                    resumed_ms = Some(control.at_ms);
                }
                ControlRecord::Resumed { foreign, confined, .. } => {
                    resumed_ms = Some(control.at_ms);
                    if *confined && !self.confined {
                        self.confined = true;
                        self.load_library()?;
                    }
                    if *foreign {
                        self.disown_reflexes()?;
                    }
                }
                ControlRecord::ToolsChanged { .. } => self.tool_changes.count(&control.record),
                ControlRecord::GoalAdded { .. }
                | ControlRecord::Paused { .. }
                | ControlRecord::ClockChanged { .. }
                | ControlRecord::FrameTaken { .. }
                | ControlRecord::TrialCall { .. } => {}
            }
        }
        Ok(resumed_ms)
    }

    /// Makes the log durable and writes the run's status.
    async fn close(&mut self, result: &Result<Outcome, DriveError>) -> Result<(), DriveError> {
        let status = match result {
            Ok(
                Outcome::Finished(FinishReason::Repetition { .. } | FinishReason::Stuck { .. })
                | Outcome::Interrupted,
            )
            | Err(DriveError::Journal(JournalError::OverBudget { .. })) => RunStatus::Paused,
            Ok(Outcome::Finished(_) | Outcome::Replayed { .. }) => RunStatus::Finished,
            Err(_) => RunStatus::Failed,
        };
        self.journal.lock().await.close(status).await?;
        if let Some(memory) = &mut self.memory {
            memory.finish().await;
        }
        Ok(())
    }
}
