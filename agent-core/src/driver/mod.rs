//! Carries the core's effects out, and logs them: intent before an effect, result after it.
//!
//! All that touches the outside world is here: the environment, the controller, the sandbox, memory, the clock.

mod asking;
mod attempt;
mod clock;
mod delta;
mod examine;
mod interjection;
mod journal;
mod lessons;
mod memory;
mod observer;
mod play;
mod practice;
mod programs;
mod proving;
mod recorder;
mod redact;
mod rehearse;
mod relived;
mod spans;
mod stage;
mod start;
mod tape;
mod toolkit;
mod trials;
mod witness;

pub use clock::{Clock, Place};
pub use delta::{diff, merge};
pub use examine::Examiner;
pub use interjection::{Interjected, Interjection};
pub use journal::{Journal, JournalError, Noted, inflate, is_forgotten, now_ms};
pub use lessons::Provenance;
pub use memory::{Recollection, Texts};
pub use observer::{Notice, Observer, Silent};
pub use redact::Redactor;
pub use rehearse::{Rehearsal, rehearse};
pub use relived::{Lived, Precedent};
pub use stage::{StageError, StageEvent, StepRecord, as_javascript};
pub use start::{LOG_VERSION, ReflexSource, Started};
pub use toolkit::{Approval, Approver, Grant, Tools, Unattended};

use crate::core::Core;
use crate::event::{ActReport, Effect, Event, FinishReason};
use programs::{program_of, programs_of};
use recorder::JournalRecorder;
use serde::Serialize;
use sojourn_controller::{Cancel, Controller};
use sojourn_memory::{Durability, RunStatus};
use sojourn_sandbox::{Program, Sandbox};
use sojourn_skills::{Kind, Library, LibraryError, SkillId};
use sojourn_tools::{EndingKind, Environment, ToolCall};
use stage::{LiveReflex, Performance, Runnable, Stage};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use toolkit::Toolkit;
use tracing::Instrument as _;
use witness::Witness;

/// Everything that a run needs from outside.
pub struct Driver {
    core: Core,
    environment: Option<Box<dyn Environment>>,
    controller: Arc<dyn Controller>,
    sandbox: Sandbox,
    journal: Arc<Mutex<Journal>>,
    /// Where memories are kept; `None` when the run is only replayed, or has none.
    recollection: Option<Recollection>,
    /// Where the library is kept; `None` when the run is only replayed.
    library: Option<Library>,
    observer: Arc<dyn Observer>,
    cancel: Cancel,
    redactor: Redactor,
    run: String,
    /// The reflexes in force, the first one first: those of the run, then those of the library.
    reflexes: Vec<LiveReflex>,
    /// The reflexes that the run was started with.
    given: Vec<LiveReflex>,
    programs: BTreeMap<SkillId, Program>,
    runnables: Arc<BTreeMap<String, Runnable>>,
    /// Tools that are not the environment's; `None` in a run without any.
    toolkit: Option<Toolkit>,
    episode_step: u64,
}

/// The outside world of a run, as it is handed to [`Driver::new`].
pub struct Outside {
    /// The world to live in.
    pub environment: Box<dyn Environment>,
    /// The model.
    pub controller: Arc<dyn Controller>,
    /// Runs skills.
    pub sandbox: Sandbox,
    /// The log.
    pub journal: Journal,
    /// Memory, if the run has one.
    pub recollection: Option<Recollection>,
    /// The library on disk, if the run may change it.
    pub library: Option<Library>,
    /// Tools that are not the environment's; `None` when the run is only replayed, or has none.
    pub tools: Option<Tools>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// Stops the run after the step under way.
    pub cancel: Cancel,
    /// What must not get into the log or to the controller.
    pub redactor: Redactor,
}

/// How a run came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// It finished.
    Finished(FinishReason),
    /// It was interrupted and can be resumed.
    Interrupted,
    /// The recorded part was replayed to its end.
    Replayed {
        /// Records that matched.
        matched: u64,
    },
}

/// Why a run could not go on. What was recorded until then is kept.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The log diverged, ended or broke.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The world broke.
    #[error(transparent)]
    Stage(StageError),
    /// The sandbox could not load what it compiled, or ran out of instances.
    #[error("the sandbox failed: {0}")]
    Sandbox(String),
    /// The library on disk could not be changed.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// Memory failed.
    #[error("memory failed: {0}")]
    Memory(String),
    /// Something could not be written as JSON.
    #[error("not serialisable: {0}")]
    Json(#[from] serde_json::Error),
    /// The run's first record cannot be used here.
    #[error("{0}")]
    Unusable(String),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<StageError> for DriveError {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Journal(error) => Self::Journal(error),
            StageError::Interrupted => Self::Interrupted,
            other => Self::Stage(other),
        }
    }
}

impl Driver {
    /// Starts, resumes or replays a run: the journal decides which. `started` is what the run was started with; while
    /// the journal replays it must equal what was recorded.
    ///
    /// # Errors
    /// When the start differs from the record, or a reflex does not compile.
    pub async fn new(started: Started, mut outside: Outside) -> Result<(Self, i64), DriveError> {
        let engine = sojourn_sandbox::engine_sha256();
        if started.origin.engine != engine {
            return Err(DriveError::Unusable(format!(
                "the run was recorded with another version of the skills' engine ({}, this program has {}): \
                 use the program that recorded it",
                started.origin.engine.get(..12).unwrap_or(&started.origin.engine),
                &engine[..12]
            )));
        }
        if !started.environment.deterministic {
            outside.environment = Box::new(Witness::new(outside.environment, &outside.journal).await?);
        }
        let noted = outside.journal.note("started", &serde_json::to_value(&started)?).await?;
        let mut reflexes = Vec::new();
        let limits = started.config.actor.tick_limits();
        for reflex in &started.reflexes {
            let wasm = outside
                .sandbox
                .compile(&reflex.name, &reflex.source)
                .await
                .map_err(|error| DriveError::Unusable(format!("reflex `{}`: {error}", reflex.name)))?;
            let program =
                outside.sandbox.load(&wasm).map_err(|error| DriveError::Sandbox(error.to_string()))?;
            let reflex = LiveReflex::new(&reflex.name, outside.sandbox.reflex(&program, &limits), 0);
            reflexes.push(reflex);
        }
        let run = started.origin.run.clone();
        let journal = Arc::new(Mutex::new(outside.journal));
        let toolkit = match &started.config.tools {
            Some(settings) => Some(Toolkit::new(
                outside.tools,
                &settings.policy,
                run.clone(),
                Arc::clone(&journal),
                outside.cancel.clone(),
                outside.redactor.clone(),
            )?),
            None => None,
        };
        let core = Core::new(started.config, started.environment, started.library, started.origin);
        let mut driver = Self {
            core,
            environment: Some(outside.environment),
            controller: outside.controller,
            sandbox: outside.sandbox,
            journal,
            recollection: outside.recollection,
            library: outside.library,
            observer: outside.observer,
            cancel: outside.cancel,
            redactor: outside.redactor,
            run,
            reflexes: reflexes.clone(),
            given: reflexes,
            programs: BTreeMap::new(),
            runnables: Arc::default(),
            toolkit,
            episode_step: 0,
        };
        driver.load_library()?;
        Ok((driver, noted.at_ms))
    }

    /// Runs to the end, to an interruption, or to the end of what was recorded.
    ///
    /// # Errors
    /// When something outside broke or the log diverged. What was recorded is durable in any case.
    pub async fn run(self, started_ms: i64) -> Result<(Outcome, Core), DriveError> {
        let span = spans::agent(&self.core.spec().name, &self.run, &self.controller.model().name);
        Box::pin(self.live(started_ms)).instrument(span).await
    }

    async fn live(mut self, started_ms: i64) -> Result<(Outcome, Core), DriveError> {
        let mut effects = self.core.start(started_ms);
        let result = loop {
            let step = match self.look_at_tools().await {
                Ok(_) => Box::pin(self.carry_out(effects)).await,
                Err(error) => Err(error),
            };
            match step {
                Ok(Step::Next { at_ms, event }) => {
                    self.core.at_record(self.journal.lock().await.seq());
                    effects = self.core.apply(at_ms, *event);
                }
                Ok(Step::Finished(reason)) => match self.interjected().await {
                    // It was taken up again.
                    Ok(Some(at_ms)) => effects = self.core.reopen(at_ms),
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
        self.close(&result).await?;
        Ok((result?, self.core))
    }

    /// Takes note of the interjections at this place of the log; says when the run was last taken up again.
    async fn interjected(&mut self) -> Result<Option<i64>, DriveError> {
        let interjections = self.journal.lock().await.interjections().await?;
        for interjected in &interjections {
            self.core.interject(interjected);
            if let Interjection::Forked { run, .. } = &interjected.what {
                // What a fork learns is its own: the library on disk goes on with the run that it left.
                self.run.clone_from(run);
                self.library = None;
            }
        }
        let tools = |interjected: &&Interjected| matches!(interjected.what, Interjection::Tools { .. });
        Ok(interjections.iter().rfind(|i| !tools(i)).map(|interjected| interjected.at_ms))
    }

    /// Leaves the log durable and says how the run stands.
    async fn close(&mut self, result: &Result<Outcome, DriveError>) -> Result<(), DriveError> {
        let status = match result {
            Ok(Outcome::Finished(FinishReason::Repetition { .. }) | Outcome::Interrupted) => {
                RunStatus::Paused
            }
            Ok(Outcome::Finished(_) | Outcome::Replayed { .. }) => RunStatus::Finished,
            Err(_) => RunStatus::Failed,
        };
        // The stage's recorder may hold the journal still when the world broke: then a commit must do.
        let mut journal = self.journal.lock().await;
        journal.close(status).await?;
        drop(journal);
        if let Some(recollection) = &mut self.recollection {
            recollection.finish().await;
        }
        Ok(())
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) -> Result<Step, DriveError> {
        for mut effect in effects {
            if let Effect::Think { request, .. } = &mut effect {
                self.core.instruct(request);
                *request = self.redactor.any(request.clone());
            }
            if self.cancel.is_cancelled() {
                return Err(DriveError::Interrupted);
            }
            let kind = kind_of(&effect);
            let noted = self.journal.lock().await.note(kind, &serde_json::to_value(&effect)?).await?;
            match effect {
                Effect::Library { change } => {
                    if let Some(library) = &mut self.library {
                        // The library must never know of a change that the log could still lose.
                        self.journal.lock().await.commit(Durability::Effect).await?;
                        let at_ms = u64::try_from(noted.at_ms).unwrap_or(0);
                        library.apply_once(&change, at_ms, &format!("{}/{}", self.run, noted.seq)).await?;
                    }
                    self.load_library()?;
                }
                Effect::Remember { memory } => {
                    if let Some(recollection) = &mut self.recollection {
                        self.journal.lock().await.commit(Durability::Effect).await?;
                        recollection.keep(&memory, &self.run, noted).await?;
                    }
                }
                Effect::Consolidate { edits } => {
                    if let Some(recollection) = &mut self.recollection {
                        self.journal.lock().await.commit(Durability::Effect).await?;
                        recollection.consolidate(&edits, &self.run, noted).await?;
                    }
                }
                Effect::Credit { memories, helped } => {
                    if let Some(recollection) = &mut self.recollection {
                        self.journal.lock().await.commit(Durability::Effect).await?;
                        recollection.credit(&memories, helped, &self.run, noted).await?;
                    }
                }
                Effect::Tell { milestone } => self
                    .observer
                    .notice(&Notice::Milestone { milestone: &milestone, replayed: noted.replayed }),
                Effect::Finish { reason } => return Ok(Step::Finished(reason)),
                Effect::Reset { seed } => {
                    let event = self.reset(seed).await?;
                    return self.derived(event).await;
                }
                Effect::Survey { task, seeds } => {
                    if let Some(step) = self.trusted("surveyed").await? {
                        return Ok(step);
                    }
                    let event = self.survey(&task, &seeds).await?;
                    return self.derived(event).await;
                }
                Effect::Play { plan } => {
                    if let Some(step) = self.trusted("played").await? {
                        return Ok(step);
                    }
                    let event = self.play(&plan).await?;
                    return self.derived(event).await;
                }
                Effect::Try { plan } => {
                    if let Some(step) = self.trusted("tried").await? {
                        return Ok(step);
                    }
                    let event = self.practise(&plan).await?;
                    return self.derived(event).await;
                }
                Effect::Retest { skills } => {
                    if let Some(step) = self.trusted("retested").await? {
                        return Ok(step);
                    }
                    let event = self.retest(&skills).await?;
                    return self.derived(event).await;
                }
                Effect::TryReflexes { plan } => {
                    if let Some(step) = self.trusted("reflexes_tried").await? {
                        return Ok(step);
                    }
                    let event = self.prove(&plan).await?;
                    return self.derived(event).await;
                }
                Effect::Act { call, max_steps } => {
                    let event = self.act(&call, max_steps).await?;
                    return self.derived(event).await;
                }
                Effect::UseTool { call, untrusted } => {
                    let event = self.use_tool(&call, untrusted).await?;
                    let step = self.derived(event).await?;
                    self.journal.lock().await.commit(Durability::Effect).await?;
                    return Ok(step);
                }
                Effect::Recall { query, limit, lessons, tools } => {
                    if let Some(step) = self.recorded(&["recalled"]).await? {
                        return Ok(step);
                    }
                    let memories = match &self.recollection {
                        Some(recollection) if limit > 0 => {
                            self.redactor.any(recollection.recall(&query, limit, lessons).await?)
                        }
                        _ => Vec::new(),
                    };
                    let tools = match tools {
                        Some(most) => self.fitting_tools(&query, most).await?,
                        None => Vec::new(),
                    };
                    return self.derived(Event::Recalled { memories, tools }).await;
                }
                Effect::Think { purpose, request } => {
                    if let Some(step) = self.recorded(&["thought", "thought_failed"]).await? {
                        return Ok(step);
                    }
                    // The intent is durable before the model is asked: what it costs is never unaccounted for.
                    self.journal.lock().await.commit(Durability::Effect).await?;
                    self.observer.notice(&Notice::Thinking { purpose });
                    let span = spans::chat(&self.controller.model().name, purpose, &request);
                    let mut request = request;
                    request.priority = purpose.priority();
                    let asking = self.controller.complete(&request, &self.cancel);
                    let answer = asking.instrument(span.clone()).await;
                    spans::answered(&span, &answer, &self.redactor);
                    if self.cancel.is_cancelled() {
                        return Err(DriveError::Interrupted);
                    }
                    let event = match answer {
                        Ok(reply) => Event::Thought { reply: self.redactor.any(reply) },
                        Err(error) => Event::ThoughtFailed { error: self.redactor.text(&error.to_string()) },
                    };
                    self.observer.notice(&Notice::Thought { purpose, event: &event });
                    let step = self.derived(event).await?;
                    self.journal.lock().await.commit(Durability::Effect).await?;
                    return Ok(step);
                }
            }
        }
        Err(DriveError::Unusable("the core asked for nothing".to_owned()))
    }

    /// Notes an event that the driver brought about.
    async fn derived(&self, event: Event) -> Result<Step, DriveError> {
        let noted =
            self.journal.lock().await.note(kind_of_event(&event), &serde_json::to_value(&event)?).await?;
        Ok(Step::Next { at_ms: noted.at_ms, event: Box::new(event) })
    }

    /// An event from outside that was recorded.
    async fn recorded(&self, kinds: &[&str]) -> Result<Option<Step>, DriveError> {
        let mut journal = self.journal.lock().await;
        let Some((noted, payload)) = journal.recall(kinds).await? else { return Ok(None) };
        let event = serde_json::from_value(payload)
            .map_err(|error| JournalError::Unreadable { seq: noted.seq, reason: error.to_string() })?;
        Ok(Some(Step::Next { at_ms: noted.at_ms, event }))
    }

    async fn reset(&mut self, seed: u64) -> Result<Event, DriveError> {
        let environment = self.environment.as_mut().ok_or(StageError::Busy)?;
        environment.reset(seed).await.map_err(StageError::from)?;
        let observation = environment.observe().map_err(StageError::from)?;
        self.episode_step = 0;
        self.reflexes = self.reflexes.iter().map(LiveReflex::rested).collect();
        self.observer.notice(&Notice::Episode { seed });
        Ok(Event::EpisodeStarted { seed, observation: self.redactor.any(observation) })
    }

    async fn act(&mut self, call: &ToolCall, max_steps: u32) -> Result<Event, DriveError> {
        let environment = self.environment.take().ok_or(StageError::Busy)?;
        let recorder = JournalRecorder {
            journal: Arc::clone(&self.journal),
            observer: Arc::clone(&self.observer),
            cancel: self.cancel.clone(),
            redactor: self.redactor.clone(),
            durable: !self.core.spec().deterministic,
        };
        let mut stage = Stage::new(
            self.sandbox.clone(),
            environment,
            Arc::clone(&self.runnables),
            std::mem::take(&mut self.reflexes),
            Box::new(recorder),
            self.core.config().actor.limits.clone(),
        )?;
        stage.set_episode_step(self.episode_step).await;
        if let Some(toolkit) = &self.toolkit {
            stage.lend(toolkit.clone(), self.core.tainted()).await;
        }
        let seed = self.core.config().seed;
        let skill = self.runnables.contains_key(&call.name);
        let span = if self.journal.lock().await.replaying() {
            tracing::Span::none()
        } else {
            spans::tool(call, if skill { "extension" } else { "function" })
        };
        let result = if skill {
            stage.perform(call, max_steps, seed).instrument(span.clone()).await
        } else {
            stage.improvise(call, max_steps).instrument(span.clone()).await
        };
        if let Ok(Performance { error: Some(error), .. }) = &result {
            spans::failed(&span, &self.redactor.text(&error.to_string()));
        }
        let environment;
        (environment, self.reflexes) = stage.into_parts()?;
        let observation = environment.observe().map_err(StageError::from);
        self.environment = Some(environment);
        let performance = result?;
        self.episode_step += u64::from(performance.steps);
        let mut report = ActReport::of(performance, observation?);
        if self.core.config().rules < 2 {
            report.calls = None;
        }
        if self.core.config().reflexes.is_none() || !died(&report) {
            report.moments.clear();
        }
        Ok(Event::Acted { report: self.redactor.any(report) })
    }

    /// Compiles what the core's library has that was not compiled yet.
    fn load_library(&mut self) -> Result<(), DriveError> {
        self.runnables = Arc::new(programs_of(&self.sandbox, self.core.library(), &mut self.programs)?);
        let resting = std::mem::take(&mut self.reflexes);
        self.reflexes.clone_from(&self.given);
        for entry in self.core.library().reflexes() {
            let manifest = &entry.skill.manifest;
            let Kind::Reflex { cooldown, .. } = manifest.kind else { continue };
            let program = program_of(&self.sandbox, entry, &mut self.programs)?;
            let reflex = self.sandbox.reflex(&program, &self.core.config().actor.tick_limits());
            self.reflexes.push(LiveReflex::new(&manifest.name, reflex, cooldown));
        }
        // Those that were there already go on resting.
        for reflex in &mut self.reflexes {
            if let Some(before) = resting.iter().find(|before| before.name == reflex.name) {
                *reflex = before.clone();
            }
        }
        Ok(())
    }
}

fn died(report: &ActReport) -> bool {
    report.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Died)
}

enum Step {
    Next { at_ms: i64, event: Box<Event> },
    Finished(FinishReason),
}

fn kind_of(effect: &Effect) -> &'static str {
    match effect {
        Effect::Reset { .. } => "reset",
        Effect::Recall { .. } => "recall",
        Effect::UseTool { .. } => "use_tool",
        Effect::Think { .. } => "think",
        Effect::Survey { .. } => "survey",
        Effect::Play { .. } => "play",
        Effect::Try { .. } => "try",
        Effect::Retest { .. } => "retest",
        Effect::TryReflexes { .. } => "try_reflexes",
        Effect::Act { .. } => "act",
        Effect::Library { .. } => "library",
        Effect::Remember { .. } => "remember",
        Effect::Consolidate { .. } => "consolidate",
        Effect::Credit { .. } => "credit",
        Effect::Tell { .. } => "milestone",
        Effect::Finish { .. } => "finish",
    }
}

fn kind_of_event(event: &Event) -> &'static str {
    match event {
        Event::EpisodeStarted { .. } => "episode_started",
        Event::Recalled { .. } => "recalled",
        Event::ToolAnswered { .. } => "tool_answered",
        Event::Thought { .. } => "thought",
        Event::ThoughtFailed { .. } => "thought_failed",
        Event::Surveyed { .. } => "surveyed",
        Event::Played { .. } => "played",
        Event::Tried { .. } => "tried",
        Event::Retested { .. } => "retested",
        Event::ReflexesTried { .. } => "reflexes_tried",
        Event::Acted { .. } => "acted",
    }
}
