//! One world with its reflexes, and the skills that run in it.
//!
//! A skill's call to a tool of the environment is carried out here, action by action. Before every action the
//! reflexes see the state and may act first: System 1 under System 2. The episode of a run and the practice
//! worlds of a trial are both stages; they differ in who records.

use super::delta::diff;
use super::journal::JournalError;
use crate::event::{ActReport, CallTrace, Moment, SkillUse, Unlocked};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sojourn_sandbox::{
    Binding, BindingKind, CallError, Host, HostError, Invocation, Limits, Program, Reflex, Sandbox,
};
use sojourn_tools::{
    Action, Condition, Ending, Environment, EnvironmentError, Grants, Observation, Parameter, Progress,
    ToolCall, ToolOutcome, nearest, with_defaults,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Calls of skills by skills go no deeper than this.
const MAX_DEPTH: u32 = 8;
/// Calls kept of a run's trace: the first few and the last many tell what went wrong.
const TRACE_HEAD: usize = 4;
const TRACE_TAIL: usize = 24;
/// Actions that reflexes may take in a row before the skill gets its turn.
const REFLEX_BURST: u32 = 12;
/// States kept from before an end.
const MOMENTS: usize = 8;

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

/// One environment step as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// What was done.
    pub action: Action,
    /// The reflex that did it; otherwise a tool's call did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reflex: Option<String>,
    /// How the state changed: a merge patch on the state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Value>,
    /// The environment's reward, where it is not 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reward: f64,
    /// Achievements that came with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlocked: Vec<String>,
    /// Set if the episode ended with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// Something that happens on a stage, in the order in which it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum StageEvent {
    /// A skill calls a tool or another skill.
    Called {
        /// How many skills are above it.
        depth: u32,
        /// The call.
        call: ToolCall,
    },
    /// The environment took a step.
    Stepped(StepRecord),
    /// A call came back.
    Returned {
        /// How many skills are above it.
        depth: u32,
        /// What it came to.
        outcome: ToolOutcome,
    },
}

/// Who keeps what happens on a stage.
#[async_trait]
pub trait Recorder: Send {
    /// Keeps it, before anything else happens.
    ///
    /// # Errors
    /// When it cannot be kept, or differs from what was recorded before; the skill is stopped at once.
    async fn record(&mut self, event: StageEvent) -> Result<(), StageError>;
}

/// Keeps nothing: for practice, where the verdict is what is logged.
pub struct Unrecorded;

#[async_trait]
impl Recorder for Unrecorded {
    async fn record(&mut self, _event: StageEvent) -> Result<(), StageError> {
        Ok(())
    }
}

/// How one call of a skill went.
#[derive(Debug)]
pub struct Performance {
    /// What stopped it, if it did not return by itself.
    pub error: Option<CallError>,
    /// Whether its goal was reached.
    pub verified: bool,
    /// The state before.
    pub before: Value,
    /// The state after.
    pub after: Value,
    /// Environment steps taken.
    pub steps: u32,
    /// Those that reflexes took.
    pub reflex_steps: u32,
    /// What was unlocked.
    pub unlocked: Vec<Unlocked>,
    /// All skills that ran.
    pub skills: Vec<SkillUse>,
    /// The calls it made: the first few and the last ones.
    pub trace: Vec<CallTrace>,
    /// How many calls it made.
    pub calls: u32,
    /// The last moments, the latest last.
    pub moments: Vec<Moment>,
    /// The sum of what the vitals lost on the way.
    pub harm: f64,
    /// Set if the episode ended.
    pub ended: Option<Ending>,
}

/// A named reflex.
#[derive(Clone)]
pub struct LiveReflex {
    /// Its name.
    pub name: String,
    /// What decides.
    pub reflex: Reflex,
    /// Environment steps that it rests after it acted.
    cooldown: u64,
    /// The episode's step before which it rests.
    ready_at: u64,
}

impl LiveReflex {
    /// A reflex that rests for so many environment steps after it acted.
    pub fn new(name: &str, reflex: Reflex, cooldown: u32) -> Self {
        Self { name: name.to_owned(), reflex, cooldown: u64::from(cooldown), ready_at: 0 }
    }

    /// The same at the beginning of an episode.
    #[must_use]
    pub fn rested(&self) -> Self {
        Self { ready_at: 0, ..self.clone() }
    }
}

/// A world, its reflexes and the library that runs in it.
pub struct Stage {
    sandbox: Sandbox,
    library: Arc<BTreeMap<String, Runnable>>,
    limits: Limits,
    shared: Arc<Mutex<Shared>>,
}

/// What the nested calls of one skill share. Calls on one world are served one at a time.
struct Shared {
    environment: Box<dyn Environment>,
    recorder: Box<dyn Recorder>,
    reflexes: Vec<LiveReflex>,
    bindings: Vec<Binding>,
    state: Value,
    vitals: Vec<String>,
    steps_left: u32,
    episode_step: u64,
    tally: Tally,
}

/// What adds up while a skill runs.
#[derive(Default)]
struct Tally {
    steps: u32,
    reflex_steps: u32,
    harm: f64,
    unlocked: Vec<Unlocked>,
    skills: Vec<SkillUse>,
    trace: Vec<CallTrace>,
    calls: u32,
    moments: VecDeque<Moment>,
    ended: Option<Ending>,
    /// Why nothing more may happen: the world or the recorder broke, or somebody wants to stop.
    failed: Option<StageError>,
}

impl Tally {
    /// The call that this was the tally of.
    fn performance(
        self,
        error: Option<CallError>,
        verified: bool,
        before: Value,
        after: Value,
    ) -> Performance {
        let Self { steps, reflex_steps, harm, unlocked, skills, trace, calls, moments, ended, failed: _ } =
            self;
        Performance {
            error,
            verified,
            before,
            after,
            steps,
            reflex_steps,
            unlocked,
            skills,
            trace,
            calls,
            moments: moments.into(),
            harm,
            ended,
        }
    }
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
            steps_left: 0,
            episode_step: 0,
            tally: Tally::default(),
        };
        Ok(Self { sandbox, library, limits, shared: Arc::new(Mutex::new(shared)) })
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

    /// Sets the count of steps that the episode has had.
    pub async fn set_episode_step(&self, step: u64) {
        self.shared.lock().await.episode_step = step;
    }
}

/// Answers the calls of one running skill.
#[derive(Clone)]
struct StageHost {
    sandbox: Sandbox,
    library: Arc<BTreeMap<String, Runnable>>,
    limits: Limits,
    shared: Arc<Mutex<Shared>>,
    grants: Grants,
    depth: u32,
    seed: u64,
}

impl StageHost {
    /// Runs `runnable` with this host's powers; says what stopped it and whether its goal was reached.
    async fn run(&self, runnable: &Runnable, args: &Map<String, Value>) -> (Option<CallError>, bool) {
        let args = with_defaults(&runnable.parameters, args.clone());
        let positional: Vec<Value> =
            runnable.parameters.iter().map(|p| args.get(&p.name).cloned().unwrap_or(Value::Null)).collect();
        let (before, steps_before, mut bindings) = {
            let shared = self.shared.lock().await;
            (shared.state.clone(), shared.tally.steps, shared.bindings.clone())
        };
        bindings.extend(self.grants.names().filter_map(|name| self.library.get(name)).map(|skill| Binding {
            name: skill.name.clone(),
            parameters: skill.parameters.iter().map(|p| p.name.clone()).collect(),
            kind: BindingKind::Call,
        }));
        let invocation = Invocation {
            args: &positional,
            bindings: &bindings,
            host: Arc::new(self.clone()),
            limits: &self.limits,
            seed: self.seed,
            now_ms: 0,
        };
        let report = self.sandbox.call(&runnable.program, invocation).await;
        let mut shared = self.shared.lock().await;
        let reached = match &runnable.goal {
            Some(goal) => goal.holds(&before, &shared.state, &args).unwrap_or(false),
            None => report.result.is_ok(),
        };
        let steps = shared.tally.steps - steps_before;
        shared.tally.skills.push(SkillUse { name: runnable.name.clone(), verified: reached, steps });
        (report.result.err(), reached)
    }

    async fn call_skill(&self, skill: &Runnable, call: &ToolCall) -> Result<Value, HostError> {
        if self.depth + 1 >= MAX_DEPTH {
            return Err(HostError::Failed(format!("skills call each other more than {MAX_DEPTH} deep")));
        }
        let depth = self.depth;
        self.shared.lock().await.keep(StageEvent::Called { depth, call: call.clone() }).await?;
        let callee = Self {
            // A callee has its own grants, and never more than it was admitted with.
            grants: skill.grants.clone(),
            depth: depth + 1,
            ..self.clone()
        };
        let (error, reached) = Box::pin(callee.run(skill, &call.args)).await;
        if let Some(CallError::Stopped { reason }) = error {
            return Err(HostError::Stop(reason));
        }
        let message = error.map_or_else(
            || if reached { "done".to_owned() } else { "not reached".to_owned() },
            |e| e.to_string(),
        );
        let outcome = ToolOutcome { ok: reached, message, value: None, missing: Vec::new() };
        let mut shared = self.shared.lock().await;
        shared.trace(depth, call, &outcome);
        shared.keep(StageEvent::Returned { depth, outcome }).await?;
        Ok(Value::Bool(reached))
    }
}

#[async_trait]
impl Host for StageHost {
    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        let call = ToolCall { name: name.to_owned(), args };
        if self.grants.allow(name)
            && let Some(skill) = self.library.get(name)
        {
            return self.call_skill(skill, &call).await;
        }
        let mut shared = self.shared.lock().await;
        if name == "observe" {
            return Ok(shared.state.clone());
        }
        shared.call_tool(self.depth, &call).await
    }
}

impl Shared {
    /// Carries out a call to a tool of the environment.
    async fn call_tool(&mut self, depth: u32, call: &ToolCall) -> Result<Value, HostError> {
        let names = || self.bindings.iter().map(|binding| binding.name.as_str());
        if !names().any(|name| name == call.name) {
            let hint =
                nearest(&call.name, names()).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            return Err(HostError::Failed(format!("`{}` is not granted{hint}", call.name)));
        }
        self.keep(StageEvent::Called { depth, call: call.clone() }).await?;
        let outcome = match self.carry_out(call).await {
            Ok(outcome) => outcome,
            Err(stop) => {
                let reason = match &stop {
                    HostError::Stop(reason) | HostError::Failed(reason) => reason.clone(),
                };
                let outcome = ToolOutcome::failed(reason);
                self.trace(depth, call, &outcome);
                self.keep(StageEvent::Returned { depth, outcome }).await?;
                return Err(stop);
            }
        };
        self.trace(depth, call, &outcome);
        let value = outcome.value.clone().unwrap_or(Value::Bool(outcome.ok));
        self.keep(StageEvent::Returned { depth, outcome }).await?;
        Ok(value)
    }

    async fn carry_out(&mut self, call: &ToolCall) -> Result<ToolOutcome, HostError> {
        self.check_running()?;
        self.environment.begin(call).map_err(|error| self.broken(error))?;
        loop {
            self.react().await?;
            match self.environment.advance() {
                Ok(Progress::Done(outcome)) => return Ok(outcome),
                Ok(Progress::Act(action)) => self.step(action, None).await?,
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// Lets the reflexes act until none wants to.
    async fn react(&mut self) -> Result<(), HostError> {
        for _ in 0..REFLEX_BURST {
            let mut wanted = None;
            for live in self.reflexes.iter_mut().filter(|live| live.ready_at <= self.episode_step) {
                // A reflex that fails has no opinion; its error is in the trace of the sandbox.
                if let Ok(Value::String(action)) = live.reflex.tick(&self.state).await {
                    wanted = Some((Action(action), live.name.clone()));
                    live.ready_at = self.episode_step + live.cooldown;
                    break;
                }
            }
            let Some((action, reflex)) = wanted else { return Ok(()) };
            if !self.environment.spec().actions.contains(&action.0) {
                return Ok(());
            }
            self.step(action, Some(reflex)).await?;
        }
        Ok(())
    }

    async fn step(&mut self, action: Action, reflex: Option<String>) -> Result<(), HostError> {
        self.check_running()?;
        if self.steps_left == 0 {
            return Err(HostError::Stop("the step budget is used up".to_owned()));
        }
        self.steps_left -= 1;
        let outcome = match self.environment.step(&action).await {
            Ok(outcome) => outcome,
            Err(error) => return Err(self.broken(error)),
        };
        self.episode_step += 1;
        self.tally.steps += 1;
        self.tally.reflex_steps += u32::from(reflex.is_some());
        self.tally.harm +=
            self.vitals.iter().map(|path| loss(&self.state, &outcome.state, path)).sum::<f64>();
        let at = self.episode_step;
        self.tally
            .unlocked
            .extend(outcome.unlocked.iter().map(|task| Unlocked { task: task.clone(), step: at }));
        self.tally.ended.clone_from(&outcome.ended);
        let change = diff(&self.state, &outcome.state);
        let before = std::mem::replace(&mut self.state, outcome.state);
        if self.tally.moments.len() == MOMENTS {
            self.tally.moments.pop_front();
        }
        self.tally.moments.push_back(Moment { state: before, action: action.0.clone() });
        let record = StepRecord {
            action,
            reflex,
            change,
            reward: outcome.reward,
            unlocked: outcome.unlocked,
            ended: outcome.ended,
        };
        self.keep(StageEvent::Stepped(record)).await?;
        self.check_running()
    }

    fn check_running(&self) -> Result<(), HostError> {
        match &self.tally.ended {
            Some(ending) => Err(HostError::Stop(format!("the episode is over: {}", ending.cause))),
            None => Ok(()),
        }
    }

    fn broken(&mut self, error: EnvironmentError) -> HostError {
        let reason = error.to_string();
        self.tally.failed = Some(error.into());
        HostError::Stop(reason)
    }

    async fn keep(&mut self, event: StageEvent) -> Result<(), HostError> {
        if let Some(failed) = &self.tally.failed {
            return Err(HostError::Stop(failed.to_string()));
        }
        self.recorder.record(event).await.map_err(|failed| {
            let reason = failed.to_string();
            self.tally.failed = Some(failed);
            HostError::Stop(reason)
        })
    }

    fn trace(&mut self, depth: u32, call: &ToolCall, outcome: &ToolOutcome) {
        self.tally.calls += 1;
        // The model is told what its own program called, not what its callees did.
        if depth > 0 && outcome.missing.is_empty() {
            return;
        }
        self.tally.trace.push(CallTrace {
            call: as_javascript(call),
            ok: outcome.ok,
            message: outcome.message.clone(),
            missing: outcome.missing.clone(),
        });
        if self.tally.trace.len() > TRACE_HEAD + TRACE_TAIL {
            self.tally.trace.remove(TRACE_HEAD);
        }
    }
}

fn loss(before: &Value, after: &Value, path: &str) -> f64 {
    let number = |state: &Value| state.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
    (number(before) - number(after)).max(0.0)
}

/// A call as it would be written.
pub fn as_javascript(call: &ToolCall) -> String {
    let args: Vec<String> = call.args.values().map(Value::to_string).collect();
    format!("{}({})", call.name, args.join(", "))
}

impl ActReport {
    /// What a performance came to, with what is seen afterwards.
    pub(super) fn of(performance: Performance, observation: Observation) -> Self {
        let Performance {
            error, steps, reflex_steps, unlocked, skills, trace, calls, moments, ended, ..
        } = performance;
        let calls = Some(calls);
        Self { observation, error, steps, reflex_steps, unlocked, skills, trace, calls, moments, ended }
    }
}
