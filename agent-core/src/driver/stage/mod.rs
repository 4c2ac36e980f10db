//! One world with its reflexes, and the skills that run in it.
//!
//! A skill's call to a tool of the environment is carried out here, action by action. Before every action the
//! reflexes see the state and may act first: System 1 under System 2. The episode of a run and the practice
//! worlds of a trial are both stages; they differ in who records.

mod host;
mod live_reflex;
mod performance;
mod record;
mod world;

pub use live_reflex::LiveReflex;
pub use performance::{Performance, as_javascript};
pub use record::{Recorder, StageEvent, StepRecord, Unrecorded};

use super::journal::JournalError;
use super::toolkit::Toolkit;
use host::StageHost;
use performance::Tally;
use serde_json::Value;
use sojourn_sandbox::{Binding, BindingKind, CallError, HostError, Limits, Program, Sandbox};
use sojourn_tools::{Condition, Environment, EnvironmentError, Grants, Parameter, ToolCall};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;
pub(super) use world::SPENT;
use world::Shared;

/// A skill ready to run.
#[derive(Clone)]
pub struct Runnable {
    /// Its name.
    pub name: String,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// When it has succeeded; without one, when it returns by itself.
    pub goal: Option<Condition>,
    /// The compiled program.
    pub program: Program,
    /// The skills it may call. Tools of the environment are granted to all.
    pub grants: Grants,
}

/// A world, its reflexes and the library that runs in it.
pub struct Stage {
    sandbox: Sandbox,
    library: Arc<BTreeMap<String, Runnable>>,
    limits: Limits,
    shared: Arc<Mutex<Shared>>,
    /// Tools that are not the environment's.
    toolkit: Option<Toolkit>,
}

/// Why a stage could not go on at all.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The environment broke.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// There is no such skill.
    #[error("no skill named `{name}` is loaded")]
    UnknownSkill {
        /// The name.
        name: String,
    },
    /// A tool that is not the environment's could not be asked at all.
    #[error("{0}")]
    Tools(String),
    /// What happened could not be recorded, or differs from what was recorded before.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Somebody wants to stop; the step under way was finished and recorded.
    #[error("interrupted")]
    Interrupted,
    /// The skills' futures still hold the world.
    #[error("the world is still in use")]
    Busy,
}

impl Stage {
    /// Sets a world up. It has been reset already.
    ///
    /// # Errors
    /// When the environment cannot be observed.
    pub fn new(
        sandbox: Sandbox,
        environment: Box<dyn Environment>,
        library: Arc<BTreeMap<String, Runnable>>,
        reflexes: Vec<LiveReflex>,
        recorder: Box<dyn Recorder>,
        limits: Limits,
    ) -> Result<Self, StageError> {
        let spec = environment.spec();
        let bindings = spec
            .tools
            .iter()
            .map(|tool| Binding {
                name: tool.name.clone(),
                parameters: tool.parameters.iter().map(|p| p.name.clone()).collect(),
                kind: if tool.name == "observe" { BindingKind::Live } else { BindingKind::Call },
            })
            .collect();
        let vitals = spec.vitals.clone();
        let state = environment.observe()?.state;
        let shared = Shared {
            environment,
            recorder,
            reflexes,
            bindings,
            state,
            vitals,
            watched: Vec::new(),
            steps_left: 0,
            episode_step: 0,
            tally: Tally::default(),
            tainted: false,
        };
        Ok(Self { sandbox, library, limits, shared: Arc::new(Mutex::new(shared)), toolkit: None })
    }

    /// The same with tools that are not the environment's.
    #[must_use]
    pub fn with_tools(mut self, toolkit: Toolkit) -> Self {
        self.toolkit = Some(toolkit);
        self
    }

    /// Lends tools that are not the environment's; `tainted` if something that a tool showed may stand behind what is done.
    pub async fn lend(&mut self, toolkit: Toolkit, tainted: bool) {
        self.toolkit = Some(toolkit);
        self.shared.lock().await.tainted = tainted;
    }

    /// Runs a skill of the library to its end, or until it is stopped.
    ///
    /// # Errors
    /// When the skill is unknown or the environment or the recorder broke; a skill that fails is no error.
    pub async fn perform(
        &mut self,
        call: &ToolCall,
        max_steps: u32,
        seed: u64,
    ) -> Result<Performance, StageError> {
        let runnable = self
            .library
            .get(&call.name)
            .cloned()
            .ok_or_else(|| StageError::UnknownSkill { name: call.name.clone() })?;
        self.perform_runnable(&runnable, call, max_steps, seed).await
    }

    /// Runs a skill that need not be in the library.
    ///
    /// # Errors
    /// As [`perform`](Self::perform).
    pub async fn perform_runnable(
        &mut self,
        runnable: &Runnable,
        call: &ToolCall,
        max_steps: u32,
        seed: u64,
    ) -> Result<Performance, StageError> {
        let before = {
            let mut shared = self.shared.lock().await;
            shared.steps_left = max_steps;
            shared.tally = Tally::default();
            shared.state.clone()
        };
        let host = StageHost {
            sandbox: self.sandbox.clone(),
            library: Arc::clone(&self.library),
            limits: self.limits.clone(),
            shared: Arc::clone(&self.shared),
            grants: runnable.grants.clone(),
            toolkit: self.toolkit.clone(),
            depth: 0,
            seed,
        };
        let (error, verified) = host.run(runnable, &call.args).await;
        let mut shared = self.shared.lock().await;
        let tally = std::mem::take(&mut shared.tally);
        if let Some(reason) = tally.failed {
            return Err(reason);
        }
        Ok(tally.performance(error, verified, before, shared.state.clone()))
    }

    /// Calls one tool of the environment directly, as an agent without skills does.
    ///
    /// # Errors
    /// When the recorder broke; a tool that fails is no error.
    pub async fn improvise(&mut self, call: &ToolCall, max_steps: u32) -> Result<Performance, StageError> {
        let mut shared = self.shared.lock().await;
        shared.steps_left = max_steps;
        shared.tally = Tally::default();
        let before = shared.state.clone();
        let result = shared.call_tool(0, call).await;
        let tally = std::mem::take(&mut shared.tally);
        if let Some(reason) = tally.failed {
            return Err(reason);
        }
        let error = match &result {
            Err(HostError::Stop(reason)) => Some(CallError::Stopped { reason: reason.clone() }),
            _ => None,
        };
        let verified = result.is_ok_and(|value| value != Value::Bool(false));
        Ok(tally.performance(error, verified, before, shared.state.clone()))
    }

    /// Takes the world back.
    ///
    /// # Errors
    /// When a call is still under way.
    pub fn into_environment(self) -> Result<Box<dyn Environment>, StageError> {
        Ok(self.into_parts()?.0)
    }

    /// Takes the world back, and the reflexes, some of which may be resting.
    ///
    /// # Errors
    /// When a call is still under way.
    pub fn into_parts(self) -> Result<(Box<dyn Environment>, Vec<LiveReflex>), StageError> {
        let shared = Arc::try_unwrap(self.shared).map_err(|_| StageError::Busy)?.into_inner();
        Ok((shared.environment, shared.reflexes))
    }

    /// Looks from now on for changes of these counters, given as JSON pointers, that are not a reflex's doing.
    pub async fn watch(&self, counters: &[String]) {
        self.shared.lock().await.watched = counters.to_vec();
    }

    /// Sets the count of steps that the episode has had.
    pub async fn set_episode_step(&self, step: u64) {
        self.shared.lock().await.episode_step = step;
    }
}
