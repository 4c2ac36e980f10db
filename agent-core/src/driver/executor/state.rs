//! The state that the nested calls of one skill share: the environment, its reflexes and what adds up.

use super::super::DriveError;
use super::super::toolkit::{ToolRequest, Toolkit};
use super::skill_run::Tally;
use super::{ExecutorError, LiveReflex, Recorder};
use crate::model::{
    CallTrace, Moment, RecordKind, SkillEvent, StateChange, StepRecord, Unlocked, as_javascript,
};
use serde_json::Value;
use sojourn_primitives::JsonPointer;
use sojourn_sandbox::{Binding, HostError, StopCause};
use sojourn_tools::{
    Action, Content, Ending, EndingKind, Environment, EnvironmentError, FailureKind, Progress, ToolCall,
    ToolOutcome, nearest,
};

/// Calls kept at the beginning and at the end of a trace: those show what went wrong.
const TRACE_HEAD: usize = 4;
const TRACE_TAIL: usize = 24;
/// The longest message of a traced call, in characters. One record holds the traces of many worlds.
const TRACE_MESSAGE: usize = 4000;
/// Actions that reflexes may take in a row before the skill continues.
const REFLEX_BURST: u32 = 12;
/// States kept from before the end of an episode.
const MOMENTS: usize = 8;

/// Behind a lock, so that calls on one environment are served one at a time.
pub(super) struct ExecutorState {
    pub(super) environment: Box<dyn Environment>,
    pub(super) recorder: Box<dyn Recorder>,
    pub(super) reflexes: Vec<LiveReflex>,
    pub(super) bindings: Vec<Binding>,
    pub(super) state: Value,
    pub(super) vitals: Vec<JsonPointer>,
    /// Counters whose changes are recorded, as JSON pointers.
    pub(super) watched: Vec<JsonPointer>,
    pub(super) steps_left: u32,
    pub(super) episode_step: u64,
    pub(super) tally: Tally,
    /// Whether a habit is acting.
    pub(super) in_habit: bool,
    /// Whether content from outside may have influenced the skill.
    pub(super) tainted: bool,
}

impl ExecutorState {
    /// Carries out a call to a tool of the environment.
    pub(super) async fn call_tool(&mut self, depth: u32, call: &ToolCall) -> Result<Value, HostError> {
        let names = || self.bindings.iter().map(|binding| binding.name.as_str());
        if !names().any(|name| name == call.name) {
            let hint =
                nearest(&call.name, names()).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            return Err(HostError::Failed(format!("`{}` is not granted{hint}", call.name)));
        }
        self.keep(SkillEvent::Called { depth, call: call.clone() }).await?;
        let outcome = match self.carry_out(call).await {
            Ok(outcome) => outcome,
            Err(stop) => {
                let outcome = stopped_outcome(&stop);
                self.trace(depth, call, &outcome);
                self.keep(SkillEvent::Returned { depth, outcome }).await?;
                return Err(stop);
            }
        };
        self.trace(depth, call, &outcome);
        let value = outcome.value.clone().unwrap_or(Value::Bool(outcome.ok));
        self.keep(SkillEvent::Returned { depth, outcome }).await?;
        Ok(value)
    }

    /// Calls a tool that does not belong to the environment, which takes no step meanwhile.
    pub(super) async fn ask_tool(
        &mut self,
        toolkit: &Toolkit,
        depth: u32,
        call: &ToolCall,
    ) -> Result<Value, HostError> {
        self.keep(SkillEvent::Called { depth, call: call.clone() }).await?;
        let request = ToolRequest { call, untrusted: self.tainted, answered_by: RecordKind::Returned };
        let outcome = match toolkit.answer(&request).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let reason = error.to_string();
                self.tally.failed = Some(match error {
                    DriveError::Journal(error) => ExecutorError::Journal(error),
                    DriveError::Interrupted => ExecutorError::Interrupted,
                    DriveError::OutOfTime => ExecutorError::OutOfTime,
                    other => ExecutorError::Tools(other.to_string()),
                });
                return Err(HostError::Stop { cause: StopCause::HostFailed, reason });
            }
        };
        self.tally.consulted += 1;
        self.tainted |= !toolkit.trusts(&call.name);
        self.trace(depth, call, &outcome);
        let value = match (&outcome.value, outcome.ok) {
            (Some(value), true) => value.clone(),
            (_, false) => Value::Bool(false),
            (None, true) if outcome.content.is_empty() => Value::Bool(true),
            (None, true) => handles(&outcome).unwrap_or_else(|| Value::String(outcome.to_text())),
        };
        self.keep(SkillEvent::Returned { depth, outcome }).await?;
        Ok(value)
    }

    async fn carry_out(&mut self, call: &ToolCall) -> Result<ToolOutcome, HostError> {
        self.check_running()?;
        self.environment.begin(call).map_err(|error| self.broken(error))?;
        loop {
            self.react().await?;
            match self.environment.advance() {
                // The log could not tell `null` from no value.
                Ok(Progress::Done(outcome)) => {
                    let value = outcome.value.filter(|value| !value.is_null());
                    return Ok(ToolOutcome { value, ..outcome });
                }
                Ok(Progress::Act(action)) => self.step(action, None).await?,
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// Lets the reflexes act until none wants to.
    async fn react(&mut self) -> Result<(), HostError> {
        for _ in 0..REFLEX_BURST {
            let mut wanted = None;
            for live in &mut self.reflexes {
                if let Some(action) = live.decide(&self.state, self.episode_step).await {
                    wanted = Some((action, live.name.clone()));
                    break;
                }
            }
            let Some((action, reflex)) = wanted else { return Ok(()) };
            if !self.environment.spec().actions.contains(&action.0) || !self.environment.permits(&action) {
                return Ok(());
            }
            self.step(action, Some(reflex)).await?;
        }
        Ok(())
    }

    async fn step(&mut self, action: Action, reflex: Option<String>) -> Result<(), HostError> {
        self.check_running()?;
        if self.steps_left == 0 {
            let reason = "the step budget is used up".to_owned();
            return Err(HostError::Stop { cause: StopCause::StepBudgetExhausted, reason });
        }
        if let Err(failed) = self.recorder.before_step().await {
            return Err(self.stop(failed));
        }
        self.steps_left -= 1;
        let stepped = tokio::select! {
            biased;
            stepped = self.environment.step(&action) => Ok(stepped),
            failed = self.recorder.given_up() => Err(failed),
        };
        let outcome = match stepped {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => return Err(self.broken(error)),
            Err(failed) => return Err(self.stop(failed)),
        };
        self.episode_step += 1;
        self.tally.steps += 1;
        // JSON has no other numbers.
        let reward = if outcome.reward.is_finite() { outcome.reward } else { 0.0 };
        self.tally.reward += reward;
        self.tally.reflex_steps += u32::from(reflex.is_some() || self.in_habit);
        self.tally.habit_steps += u32::from(self.in_habit);
        let harm: f64 = self.vitals.iter().map(|path| loss(&self.state, &outcome.state, path)).sum();
        self.tally.harm = (self.tally.harm + harm).min(f64::MAX);
        if reflex.is_none() && !self.in_habit {
            let changed = |path: &&JsonPointer| path.find(&self.state) != path.find(&outcome.state);
            self.tally.touched.extend(self.watched.iter().filter(changed).cloned());
        }
        let at = self.episode_step;
        self.tally
            .unlocked
            .extend(outcome.unlocked.iter().map(|task| Unlocked { task: task.clone(), step: at }));
        self.tally.ended.clone_from(&outcome.ended);
        let StateChange { patch, nulls } = StateChange::between(&self.state, &outcome.state);
        let mut after = outcome.state;
        if !self.environment.spec().deterministic {
            // A resume takes the state from the log, so it is what the log says, down to the order of members.
            after.clone_from(&self.state);
            StateChange::apply(patch.as_ref(), &nulls, &mut after);
        }
        let before = std::mem::replace(&mut self.state, after);
        if self.tally.moments.len() == MOMENTS {
            self.tally.moments.pop_front();
        }
        self.tally.moments.push_back(Moment { state: before, action: action.0.clone() });
        let record = StepRecord {
            action,
            reflex,
            change: patch,
            nulls,
            reward,
            unlocked: outcome.unlocked,
            ended: outcome.ended,
        };
        self.keep(SkillEvent::Stepped(record)).await?;
        let ended = self.tally.ended.is_some();
        if let Err(failed) = self.recorder.frame(self.environment.as_mut(), ended).await {
            return Err(self.stop(failed));
        }
        self.check_running()
    }

    fn check_running(&self) -> Result<(), HostError> {
        match &self.tally.ended {
            Some(ending) => Err(HostError::Stop {
                cause: StopCause::EpisodeOver,
                reason: format!("the episode is over: {}", ending.cause),
            }),
            None => Ok(()),
        }
    }

    fn broken(&mut self, error: EnvironmentError) -> HostError {
        let reason = error.to_string();
        if let EnvironmentError::Lost { cause } = error {
            self.tally.ended = Some(Ending { kind: EndingKind::Lost, cause });
            return HostError::Stop { cause: StopCause::EnvironmentLost, reason };
        }
        self.tally.failed = Some(error.into());
        HostError::Stop { cause: StopCause::HostFailed, reason }
    }

    pub(super) async fn keep(&mut self, event: SkillEvent) -> Result<(), HostError> {
        if let Some(failed) = &self.tally.failed {
            return Err(HostError::Stop { cause: StopCause::HostFailed, reason: failed.to_string() });
        }
        self.recorder.record(event).await.map_err(|failed| self.stop(failed))
    }

    fn stop(&mut self, failed: ExecutorError) -> HostError {
        let reason = failed.to_string();
        self.tally.failed = Some(failed);
        HostError::Stop { cause: StopCause::HostFailed, reason }
    }

    pub(super) fn trace(&mut self, depth: u32, call: &ToolCall, outcome: &ToolOutcome) {
        self.tally.calls += 1;
        // The controller sees the calls of its own program, and calls of callees that lacked something.
        if depth > 0 && outcome.missing.is_empty() {
            return;
        }
        self.tally.trace.push(CallTrace {
            call: as_javascript(call),
            ok: outcome.ok,
            message: outcome.message.chars().take(TRACE_MESSAGE).collect(),
            missing: outcome.missing.clone(),
            failure: outcome.failure,
        });
        if self.tally.trace.len() > TRACE_HEAD + TRACE_TAIL {
            self.tally.trace.remove(TRACE_HEAD);
        }
    }
}

/// The handles of an outcome that is nothing but media: one as a text, several as a list.
fn handles(outcome: &ToolOutcome) -> Option<Value> {
    let handle = |part: &Content| match part {
        Content::Media(media) => Some(Value::String(media.handle())),
        _ => None,
    };
    let mut handles: Vec<Value> = outcome.content.iter().map(handle).collect::<Option<_>>()?;
    if handles.len() == 1 { handles.pop() } else { Some(Value::Array(handles)) }
}

/// The outcome of a call that was stopped.
fn stopped_outcome(stop: &HostError) -> ToolOutcome {
    let (failure, reason) = match stop {
        HostError::Failed(reason) => (None, reason),
        HostError::Stop { cause, reason } => match cause {
            StopCause::StepBudgetExhausted => (Some(FailureKind::StepBudgetExhausted), reason),
            StopCause::EpisodeOver => (Some(FailureKind::EpisodeOver), reason),
            StopCause::EnvironmentLost => (Some(FailureKind::EnvironmentLost), reason),
            StopCause::HostFailed => (None, reason),
        },
    };
    ToolOutcome { failure, ..ToolOutcome::failed(reason.as_str()) }
}

/// The amount by which the counter at `path` has decreased, at least 0.
fn loss(before: &Value, after: &Value, path: &JsonPointer) -> f64 {
    let number = |state: &Value| path.find(state).and_then(Value::as_f64).unwrap_or(0.0);
    (number(before) - number(after)).max(0.0)
}
