//! What a log has of a world: all that came from it, in order.

use super::delta::merge;
use super::journal::{JournalError, inflate};
use super::stage::{SPENT, StageEvent, StepRecord};
use crate::event::Event;
use serde_json::Value;
use sojourn_memory::{Record, Store};
use sojourn_sandbox::CallError;
use sojourn_tools::{
    Action, EndingKind, EnvironmentError, EnvironmentSpec, Observation, Past, Progress, StepOutcome,
    ToolCall, ToolOutcome,
};
use std::collections::VecDeque;

/// What the log has of a world, in order.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// With a seed.
    Reset(u64, Observation),
    Called(ToolCall),
    Stepped(StepRecord),
    Returned(ToolOutcome),
    /// The call wanted a step that it was not given: nothing was left of its budget.
    Refused,
    /// The call ended with the episode, which broke off.
    Lost {
        cause: String,
    },
    /// What was observed after a call of the controller's was carried out.
    Observed(Observation),
}

/// The world's part of records, each with the place that its record was given with.
///
/// # Errors
/// When a record cannot be read.
pub(super) async fn tape<'a>(
    store: &Store,
    records: impl Iterator<Item = (usize, &'a Record)>,
    spec: &EnvironmentSpec,
) -> Result<Vec<(usize, Seen)>, JournalError> {
    let unreadable =
        |seq, error: serde_json::Error| JournalError::Unreadable { seq, reason: error.to_string() };
    let mut tape = Vec::<(usize, Seen)>::new();
    // Whether each call under way, the innermost last, is one of the environment's tools.
    let mut calls = Vec::new();
    for (place, record) in records {
        let of_world = ["episode_started", "called", "stepped", "returned", "acted"];
        if !of_world.contains(&record.kind.as_str()) {
            continue;
        }
        let payload = inflate(store, record.seq, record.payload.clone()).await?;
        match record.kind.as_str() {
            "episode_started" | "acted" => {
                calls.clear();
                match serde_json::from_value(payload).map_err(|error| unreadable(record.seq, error))? {
                    Event::EpisodeStarted { seed, observation } => {
                        tape.push((place, Seen::Reset(seed, observation)));
                    }
                    Event::Acted { report } => {
                        if let Some((_, last @ Seen::Returned(_))) = tape.last_mut() {
                            let lost = report.ended.filter(|ending| ending.kind == EndingKind::Lost);
                            if let Some(ending) = lost {
                                *last = Seen::Lost { cause: ending.cause };
                            } else if let Seen::Returned(outcome) = &*last
                                && stopped(report.error.as_ref(), outcome)
                            {
                                *last = Seen::Refused;
                            }
                        }
                        tape.push((place, Seen::Observed(report.observation)));
                    }
                    _ => {}
                }
            }
            _ => match serde_json::from_value(payload).map_err(|error| unreadable(record.seq, error))? {
                StageEvent::Called { call, .. } => {
                    let tool = spec.tools.iter().any(|tool| tool.name == call.name);
                    calls.push(tool);
                    if tool {
                        tape.push((place, Seen::Called(call)));
                    }
                }
                StageEvent::Stepped(step) => tape.push((place, Seen::Stepped(step))),
                StageEvent::Returned { outcome, .. } => {
                    if calls.pop().unwrap_or(false) {
                        tape.push((place, Seen::Returned(outcome)));
                    }
                }
            },
        }
    }
    // A process may have died before it wrote what the refusal came to.
    if let Some((_, last)) = tape.last_mut()
        && matches!(last, Seen::Returned(outcome) if !outcome.ok && outcome.message == SPENT)
    {
        *last = Seen::Refused;
    }
    Ok(tape)
}

/// Whether what stopped a skill also ended this call of it.
fn stopped(error: Option<&CallError>, outcome: &ToolOutcome) -> bool {
    matches!(error, Some(CallError::Stopped { reason }) if !outcome.ok && *reason == outcome.message)
}

/// The episode that is under way at the end of the records, if there is one.
pub(super) fn past(tape: &VecDeque<Seen>) -> Option<Past> {
    let mut last: Option<Past> = None;
    for seen in tape {
        match seen {
            Seen::Reset(seed, observation) => {
                let state = observation.state.clone();
                last = Some(Past { seed: *seed, actions: Vec::new(), state });
            }
            Seen::Observed(observation) => {
                if let Some(past) = &mut last {
                    past.state.clone_from(&observation.state);
                }
            }
            Seen::Stepped(step) => {
                let Some(past) = &mut last else { continue };
                past.actions.push(step.action.clone());
                if let Some(change) = &step.change {
                    merge(&mut past.state, change);
                }
            }
            Seen::Called(_) | Seen::Returned(_) | Seen::Refused | Seen::Lost { .. } => {}
        }
    }
    last
}

/// What the call under way comes to next. What is taken off the tape for it has ended the call.
pub(super) fn advance(tape: &mut VecDeque<Seen>) -> Result<Progress, EnvironmentError> {
    if let Some(lost) = lost(tape) {
        return Err(lost);
    }
    match tape.front() {
        Some(Seen::Stepped(step)) if step.reflex.is_none() => Ok(Progress::Act(step.action.clone())),
        Some(Seen::Refused) => {
            tape.pop_front();
            // Whichever it was, it is refused again before anybody looks at it.
            Ok(Progress::Act(Action(String::new())))
        }
        Some(Seen::Returned(outcome)) => {
            let outcome = outcome.clone();
            tape.pop_front();
            Ok(Progress::Done(outcome))
        }
        next => Err(differs(next, "a step or an outcome of the call under way")),
    }
}

/// What the step came to, which leads to another `state`.
pub(super) fn step(
    tape: &mut VecDeque<Seen>,
    state: &mut Value,
    action: &Action,
) -> Result<StepOutcome, EnvironmentError> {
    if let Some(lost) = lost(tape) {
        return Err(lost);
    }
    match tape.front() {
        Some(Seen::Stepped(step)) if step.action == *action => {
            let step = step.clone();
            tape.pop_front();
            if let Some(change) = &step.change {
                merge(state, change);
            }
            let StepRecord { reward, unlocked, ended, .. } = step;
            Ok(StepOutcome { state: state.clone(), reward, unlocked, ended })
        }
        next => Err(differs(next, &format!("the step `{}`", action.0))),
    }
}

/// The end of the episode, if it breaks off here.
fn lost(tape: &mut VecDeque<Seen>) -> Option<EnvironmentError> {
    let Some(Seen::Lost { cause }) = tape.front() else { return None };
    let cause = cause.clone();
    tape.pop_front();
    Some(EnvironmentError::Lost { cause })
}

/// What is said where the log does not go on with what is asked now.
pub(super) fn differs(next: Option<&Seen>, now: &str) -> EnvironmentError {
    let recorded = match next {
        None => "nothing".to_owned(),
        Some(Seen::Reset(..)) => "a reset".to_owned(),
        Some(Seen::Called(call)) => format!("a call of `{}`", call.name),
        Some(Seen::Stepped(step)) => format!("the step `{}`", step.action.0),
        Some(Seen::Returned(_) | Seen::Refused | Seen::Lost { .. }) => "the outcome of a call".to_owned(),
        Some(Seen::Observed(_)) => "the end of a call".to_owned(),
    };
    EnvironmentError::Failed { reason: format!("the log goes on with {recorded}, not with {now}") }
}
