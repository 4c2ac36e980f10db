//! The trace of an environment: everything that a log has of it, in order.

use crate::log::ReadError;
use crate::model::{Event, LogRecord, RecordKind, SkillEvent, StepRecord};
use serde_json::Value;
use sojourn_memory::{Record, Store};
use sojourn_tools::{
    Action, EndingKind, EnvironmentError, EnvironmentSpec, EpisodePrefix, FailureKind, Observation, Progress,
    StepOutcome, ToolCall, ToolOutcome,
};
use std::collections::VecDeque;

/// The most that a trace may hold, in bytes. A few large blobs that many records of an imported log refer to would fill the
/// memory.
const MAX_BYTES: usize = 2 << 30;

/// One entry of a trace.
#[derive(Debug, Clone)]
pub(super) enum TraceEntry {
    /// A reset with this seed, and the first observation.
    Reset(u64, Observation),
    Called(ToolCall),
    Stepped(StepRecord),
    Returned(ToolOutcome),
    /// The executor stopped the call: its steps were used up, or the episode was over.
    Stopped,
    /// The environment was lost during the call.
    Lost {
        cause: String,
    },
    /// The observation after a call that the core asked for.
    Observed(Observation),
}

impl TraceEntry {
    /// About the memory that its texts and values need.
    fn bytes(&self) -> usize {
        match self {
            Self::Reset(_, seen) | Self::Observed(seen) => seen.text.len() + json_bytes(&seen.state),
            Self::Called(call) => call.args.values().map(json_bytes).sum(),
            Self::Stepped(step) => step.change.as_ref().map_or(0, json_bytes),
            Self::Returned(outcome) => outcome.message.len() + outcome.value.as_ref().map_or(0, json_bytes),
            Self::Stopped | Self::Lost { .. } => 0,
        }
    }

    /// Whether the entry only says how a call ended.
    pub(super) fn ends_call(&self) -> bool {
        matches!(self, Self::Returned(_) | Self::Stopped)
    }
}

/// The environment's part of `records`. Each entry keeps the index that its record was given with.
///
/// # Errors
/// When a record cannot be read.
pub(super) async fn environment_trace<'a>(
    store: &Store,
    records: impl Iterator<Item = (usize, &'a Record)>,
    spec: &EnvironmentSpec,
) -> Result<Vec<(usize, TraceEntry)>, ReadError> {
    let mut trace = Vec::<(usize, TraceEntry)>::new();
    // Whether each open call, the innermost last, is one of the environment's tools.
    let mut calls = Vec::new();
    let mut left: usize = MAX_BYTES;
    for (index, record) in records {
        match RecordKind::of(record)? {
            RecordKind::EpisodeStarted
            | RecordKind::Called
            | RecordKind::Stepped
            | RecordKind::Returned
            | RecordKind::Acted => {}
            _ => continue,
        }
        let known = trace.len();
        match LogRecord::require(store, record).await? {
            LogRecord::Event(event) => {
                calls.clear();
                match *event {
                    Event::EpisodeStarted { seed, observation } => {
                        trace.push((index, TraceEntry::Reset(seed, observation)));
                    }
                    Event::Acted { report } => {
                        let lost = report.ended.filter(|ending| ending.kind == EndingKind::Lost);
                        if let (Some(ending), Some((_, last @ TraceEntry::Returned(_)))) =
                            (lost, trace.last_mut())
                        {
                            *last = TraceEntry::Lost { cause: ending.cause };
                        }
                        trace.push((index, TraceEntry::Observed(report.observation)));
                    }
                    _ => {}
                }
            }
            LogRecord::SkillEvent(event) => match *event {
                SkillEvent::Called { call, .. } => {
                    let is_tool = spec.tools.iter().any(|tool| tool.name == call.name);
                    calls.push(is_tool);
                    if is_tool {
                        trace.push((index, TraceEntry::Called(call)));
                    }
                }
                SkillEvent::Stepped(step) => trace.push((index, TraceEntry::Stepped(step))),
                SkillEvent::Returned { outcome, .. } => {
                    if calls.pop().unwrap_or(false) {
                        trace.push((index, returned(outcome)));
                    }
                }
            },
            _ => {}
        }
        let bytes = trace[known..].iter().map(|(_, entry)| entry.bytes()).sum();
        left = left.checked_sub(bytes).ok_or_else(|| {
            let reason =
                format!("the recorded answers of the world up to here exceed {} MiB", MAX_BYTES >> 20);
            ReadError::Unreadable { seq: record.seq, reason }
        })?;
    }
    Ok(trace)
}

/// About the size of a value as JSON, in bytes.
fn json_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| json_bytes(item) + 1).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + json_bytes(value) + 4).sum(),
        _ => 8,
    }
}

fn returned(outcome: ToolOutcome) -> TraceEntry {
    match outcome.failure {
        Some(FailureKind::StepBudgetExhausted | FailureKind::EpisodeOver) => TraceEntry::Stopped,
        Some(FailureKind::EnvironmentLost | FailureKind::EffectUnknown | FailureKind::Denied) | None => {
            TraceEntry::Returned(outcome)
        }
    }
}

/// The episode that is open at the end of the trace; `None` without one.
pub(super) fn open_episode(trace: &VecDeque<TraceEntry>) -> Option<EpisodePrefix> {
    let mut last: Option<EpisodePrefix> = None;
    for entry in trace {
        match entry {
            TraceEntry::Reset(seed, observation) => {
                let state = observation.state.clone();
                last = Some(EpisodePrefix { seed: *seed, actions: Vec::new(), state });
            }
            TraceEntry::Observed(observation) => {
                if let Some(past) = &mut last {
                    past.state.clone_from(&observation.state);
                }
            }
            TraceEntry::Stepped(step) => {
                let Some(past) = &mut last else { continue };
                past.actions.push(step.action.clone());
                step.apply(&mut past.state);
            }
            TraceEntry::Called(_)
            | TraceEntry::Returned(_)
            | TraceEntry::Stopped
            | TraceEntry::Lost { .. } => {}
        }
    }
    last
}

/// The next progress of the open call. An entry that ends the call is removed.
pub(super) fn advance(trace: &mut VecDeque<TraceEntry>) -> Result<Progress, EnvironmentError> {
    if let Some(lost) = lost(trace) {
        return Err(lost);
    }
    match trace.front() {
        Some(TraceEntry::Stepped(step)) if step.reflex.is_none() => Ok(Progress::Act(step.action.clone())),
        Some(TraceEntry::Stopped) => {
            trace.pop_front();
            // The executor stops the call again before it looks at the action.
            Ok(Progress::Act(Action(String::new())))
        }
        Some(TraceEntry::Returned(outcome)) => {
            let outcome = outcome.clone();
            trace.pop_front();
            Ok(Progress::Done(outcome))
        }
        next => Err(differs(next, "a step or an outcome of the call under way")),
    }
}

/// The outcome of the step, whose change is merged into `state`.
pub(super) fn step(
    trace: &mut VecDeque<TraceEntry>,
    state: &mut Value,
    action: &Action,
) -> Result<StepOutcome, EnvironmentError> {
    if let Some(lost) = lost(trace) {
        return Err(lost);
    }
    match trace.front() {
        Some(TraceEntry::Stepped(step)) if step.action == *action => {
            let step = step.clone();
            trace.pop_front();
            step.apply(state);
            let StepRecord { reward, unlocked, ended, .. } = step;
            Ok(StepOutcome { state: state.clone(), reward, unlocked, ended })
        }
        next => Err(differs(next, &format!("the step `{}`", action.0))),
    }
}

/// Whether a reflex took the action here, or was kept from finishing it. Where it did neither, a policy denied the action.
pub(super) fn acted_by_reflex(trace: &VecDeque<TraceEntry>, action: &Action) -> bool {
    match trace.front() {
        Some(TraceEntry::Stepped(step)) => step.reflex.is_some() && step.action == *action,
        Some(TraceEntry::Stopped | TraceEntry::Lost { .. }) | None => true,
        _ => false,
    }
}

/// The loss of the environment, if the trace has it here.
fn lost(trace: &mut VecDeque<TraceEntry>) -> Option<EnvironmentError> {
    let Some(TraceEntry::Lost { cause }) = trace.front() else { return None };
    let cause = cause.clone();
    trace.pop_front();
    Some(EnvironmentError::Lost { cause })
}

/// The error for a request that the trace does not continue with.
pub(super) fn differs(next: Option<&TraceEntry>, now: &str) -> EnvironmentError {
    let recorded = match next {
        None => "nothing".to_owned(),
        Some(TraceEntry::Reset(..)) => "a reset".to_owned(),
        Some(TraceEntry::Called(call)) => format!("a call of `{}`", call.name),
        Some(TraceEntry::Stepped(step)) => format!("the step `{}`", step.action.0),
        Some(TraceEntry::Returned(_) | TraceEntry::Stopped | TraceEntry::Lost { .. }) => {
            "the outcome of a call".to_owned()
        }
        Some(TraceEntry::Observed(_)) => "the end of a call".to_owned(),
    };
    EnvironmentError::Failed { reason: format!("the log continues with {recorded}, not with {now}") }
}
