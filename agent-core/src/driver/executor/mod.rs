//! Runs skills in one environment, together with its reflexes.
//!
//! A skill's call to a tool of the environment is carried out action by action. Before every action the reflexes see the
//! state and may act first: System 1 under System 2. The run's episodes and the worlds of trials use the same executor with
//! different recorders.

mod host;
mod live_reflex;
mod recorder;
mod skill_run;
mod state;

pub use live_reflex::LiveReflex;
pub use recorder::{Recorder, Unrecorded};
pub use skill_run::SkillRun;

use super::Unredactable;
use super::journal::JournalError;
use super::toolkit::Toolkit;
use host::SkillHost;
use serde_json::Value;
use skill_run::Tally;
use sojourn_primitives::JsonPointer;
use sojourn_sandbox::{Binding, BindingKind, CallError, HostError, Limits, Program, Sandbox};
use sojourn_tools::{Condition, Environment, EnvironmentError, Grants, Parameter, ToolCall, ToolSpec};
use state::ExecutorState;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A skill ready to run.
#[derive(Clone)]
pub struct LoadedSkill {
    /// Its name.
    pub name: String,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// The post-condition of success; without one, returning by itself is success.
    pub goal: Option<Condition>,
    /// The compiled program.
    pub program: Program,
    /// The skills and tools that it may call. Tools of the environment are granted to all.
    pub grants: Grants,
    /// Which of the granted tools it gets that do not belong to the environment.
    pub tools: ToolReach,
    /// Whether text from outside shaped it.
    pub untrusted: bool,
}

/// Which of its granted tools a skill gets that do not belong to the environment. A grant is a name, and another agent file may give that
/// name to a tool that does more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToolReach {
    /// None: the skill was made elsewhere and names what it likes.
    Nothing,
    /// Those that change nothing.
    Reading,
    /// All, in logs of runs before the eighth set of rules.
    Granted,
}

impl ToolReach {
    /// Whether the skill gets this tool.
    pub fn has(self, spec: &ToolSpec) -> bool {
        match self {
            Self::Nothing => false,
            Self::Reading => spec.effects.changes_nothing(),
            Self::Granted => true,
        }
    }
}

/// An environment, its reflexes, and the skills that may run in it.
pub struct SkillExecutor {
    sandbox: Sandbox,
    library: Arc<BTreeMap<String, LoadedSkill>>,
    limits: Limits,
    shared: Arc<Mutex<ExecutorState>>,
    /// Tools that do not belong to the environment; `None` without any.
    toolkit: Option<Toolkit>,
}

/// Why an executor cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The environment failed.
    #[error("{0}")]
    Environment(#[from] EnvironmentError),
    /// There is no such skill.
    #[error("no skill named `{name}` is loaded")]
    UnknownSkill {
        /// The name.
        name: String,
    },
    /// The call of a tool could not be recorded or answered.
    #[error("{0}")]
    Tools(String),
    /// An event could not be recorded, or differs from the recorded one.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// An event could not be recorded without a secret.
    #[error(transparent)]
    Secret(Unredactable),
    /// The run was interrupted. The current step was finished and recorded.
    #[error("interrupted")]
    Interrupted,
    /// The run's time is used up.
    #[error("the time budget is used up")]
    OutOfTime,
    /// The environment is still held by a running skill.
    #[error("the environment is still in use")]
    Busy,
}

impl SkillExecutor {
    /// Takes an environment that has been reset.
    ///
    /// # Errors
    /// When the environment cannot be observed.
    pub fn new(
        sandbox: Sandbox,
        environment: Box<dyn Environment>,
        library: Arc<BTreeMap<String, LoadedSkill>>,
        reflexes: Vec<LiveReflex>,
        recorder: Box<dyn Recorder>,
        limits: Limits,
    ) -> Result<Self, ExecutorError> {
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
        let shared = ExecutorState {
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
            in_habit: false,
            tainted: false,
        };
        Ok(Self { sandbox, library, limits, shared: Arc::new(Mutex::new(shared)), toolkit: None })
    }

    /// Adds tools that do not belong to the environment.
    #[must_use]
    pub fn with_tools(mut self, toolkit: Toolkit) -> Self {
        self.toolkit = Some(toolkit);
        self
    }

    /// Adds tools that do not belong to the environment; `tainted` says whether content from outside may influence the skill.
    pub async fn lend(&mut self, toolkit: Toolkit, tainted: bool) {
        self.toolkit = Some(toolkit);
        self.shared.lock().await.tainted = tainted;
    }

    /// Runs a skill of the library to its end, or until it is stopped.
    ///
    /// # Errors
    /// When the skill is unknown, or the environment or the recorder failed. A skill that fails is no error.
    pub async fn run_skill(
        &mut self,
        call: &ToolCall,
        max_steps: u32,
        seed: u64,
    ) -> Result<SkillRun, ExecutorError> {
        let skill = self
            .library
            .get(&call.name)
            .cloned()
            .ok_or_else(|| ExecutorError::UnknownSkill { name: call.name.clone() })?;
        self.run_loaded_skill(&skill, call, max_steps, seed).await
    }

    /// Runs a skill that need not be in the library.
    ///
    /// # Errors
    /// Those of [`run_skill`](Self::run_skill).
    pub async fn run_loaded_skill(
        &mut self,
        skill: &LoadedSkill,
        call: &ToolCall,
        max_steps: u32,
        seed: u64,
    ) -> Result<SkillRun, ExecutorError> {
        let before = {
            let mut shared = self.shared.lock().await;
            shared.steps_left = max_steps;
            shared.tally = Tally::default();
            shared.state.clone()
        };
        let host = self.host(skill.grants.clone(), skill.tools, seed);
        let (error, verified) = host.run(skill, &call.args).await;
        let mut shared = self.shared.lock().await;
        let tally = std::mem::take(&mut shared.tally);
        if let Some(reason) = tally.failed {
            return Err(reason);
        }
        Ok(tally.into_run(error, verified, before, shared.state.clone(), shared.tainted))
    }

    /// What answers the calls of a program with these grants.
    fn host(&self, grants: Grants, tools: ToolReach, seed: u64) -> SkillHost {
        SkillHost {
            sandbox: self.sandbox.clone(),
            library: Arc::clone(&self.library),
            limits: self.limits.clone(),
            shared: Arc::clone(&self.shared),
            grants,
            tools,
            toolkit: self.toolkit.clone(),
            depth: 0,
            seed,
            habit: None,
        }
    }

    /// Whether the environment has a tool of this name.
    pub async fn is_tool(&self, name: &str) -> bool {
        self.shared.lock().await.bindings.iter().any(|binding| binding.name == name)
    }

    /// Calls one tool of the environment directly, as an agent without skills does.
    ///
    /// # Errors
    /// When the environment or the recorder failed. A tool that fails is no error.
    pub async fn call_tool(&mut self, call: &ToolCall, max_steps: u32) -> Result<SkillRun, ExecutorError> {
        let mut shared = self.shared.lock().await;
        shared.steps_left = max_steps;
        shared.tally = Tally::default();
        let before = shared.state.clone();
        drop(shared);
        let habits = self.host(Grants::default(), ToolReach::Nothing, 0).follow_habits().await;
        let mut shared = self.shared.lock().await;
        let result = match habits {
            Ok(()) => shared.call_tool(0, call).await,
            Err(stopped) => Err(stopped),
        };
        let tally = std::mem::take(&mut shared.tally);
        if let Some(reason) = tally.failed {
            return Err(reason);
        }
        let error = match &result {
            Err(HostError::Stop { cause, reason }) => {
                Some(CallError::Stopped { cause: *cause, reason: reason.clone() })
            }
            _ => None,
        };
        let verified = result.is_ok_and(|value| value != Value::Bool(false));
        Ok(tally.into_run(error, verified, before, shared.state.clone(), shared.tainted))
    }

    /// Returns the environment.
    ///
    /// # Errors
    /// [`ExecutorError::Busy`] while a call is running.
    pub fn into_environment(self) -> Result<Box<dyn Environment>, ExecutorError> {
        Ok(self.into_parts()?.0)
    }

    /// Returns the environment and the reflexes with their cooldowns.
    ///
    /// # Errors
    /// [`ExecutorError::Busy`] while a call is running.
    pub fn into_parts(self) -> Result<(Box<dyn Environment>, Vec<LiveReflex>), ExecutorError> {
        let shared = Arc::try_unwrap(self.shared).map_err(|_| ExecutorError::Busy)?.into_inner();
        Ok((shared.environment, shared.reflexes))
    }

    /// The calls that the environment says are possible now; empty where it does not say.
    ///
    /// # Errors
    /// When the environment cannot be observed.
    pub async fn available(&self) -> Result<Vec<ToolCall>, ExecutorError> {
        Ok(self.shared.lock().await.environment.observe()?.available)
    }

    /// From now on records changes of these counters, given as JSON pointers, unless a reflex causes them.
    pub async fn watch(&self, counters: &[JsonPointer]) {
        self.shared.lock().await.watched = counters.to_vec();
    }

    /// Sets the number of steps of the episode so far.
    pub async fn set_episode_step(&self, step: u64) {
        self.shared.lock().await.episode_step = step;
    }
}
