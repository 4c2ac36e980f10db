//! A non-deterministic environment, answered from its log.
//!
//! A deterministic environment is stepped again by a replay. Any other is not asked a second time: the log answers for it
//! while records are left, and skills and reflexes run against those answers. Then the environment itself is used, if it
//! is still in the state where the records end. A call that was running when a process died is repeated only if its tool
//! declares it repeatable; otherwise its outcome is [`FailureKind::EffectUnknown`].

use super::super::journal::Journal;
use super::super::{DriveError, ExecutorError};
use super::environment_trace::{self as trace, TraceEntry, differs, environment_trace, open_episode};
use crate::log::ReadError;
use async_trait::async_trait;
use serde_json::Value;
use sojourn_tools::{
    Action, Environment, EnvironmentError, EnvironmentSpec, FailureKind, Frame, Observation, Progress,
    StepOutcome, ToolCall, ToolOutcome,
};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Who answers for the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The log. `rejoined` says whether the environment continues where the log ends.
    Recorded { rejoined: bool },
    /// The environment itself.
    Live,
    /// Nobody: the environment ended with the process that used it.
    Lost,
}

/// An environment behind its log.
pub(in crate::driver) struct ReplayingEnvironment {
    environment: Box<dyn Environment>,
    trace: VecDeque<TraceEntry>,
    source: Source,
    state: Value,
    /// The call that has no outcome yet.
    call: Option<ToolCall>,
    last: Mutex<LastObservation>,
}

/// The last observation. It is repeated until something happens, because observing is not logged.
#[derive(Default)]
struct LastObservation {
    observation: Option<Observation>,
    stale: bool,
}

impl ReplayingEnvironment {
    /// Reads the trace from `journal`. If the journal has a writer, the environment is asked whether it is still in the
    /// state where the records end.
    ///
    /// # Errors
    /// When a record cannot be read, or the environment fails.
    pub(in crate::driver) async fn new(
        mut environment: Box<dyn Environment>,
        journal: &Journal,
    ) -> Result<Self, DriveError> {
        let left = journal.left().map(|record| (0, record));
        let entries = environment_trace(journal.store(), left, environment.spec())
            .await
            .map_err(|error: ReadError| DriveError::Journal(error.into()))?;
        let trace: VecDeque<TraceEntry> = entries.into_iter().map(|(_, entry)| entry).collect();
        let source = match open_episode(&trace) {
            None => Source::Live,
            Some(past) => {
                // What another home did is not done again in the world of this one.
                let rejoined = journal.writes()
                    && !journal.is_imported()
                    && environment.rejoin(&past).await.map_err(ExecutorError::from)?;
                Source::Recorded { rejoined }
            }
        };
        Ok(Self { environment, trace, source, state: Value::Null, call: None, last: Mutex::default() })
    }

    fn invalidate(&mut self) {
        self.last.get_mut().unwrap_or_else(PoisonError::into_inner).stale = true;
    }

    fn set_observation(&mut self, observation: Observation) {
        self.state = observation.state.clone();
        *self.last.get_mut().unwrap_or_else(PoisonError::into_inner) =
            LastObservation { observation: Some(observation), stale: false };
    }

    /// Switches from the log to the environment where the records end.
    fn go_live(&mut self) -> Result<(), EnvironmentError> {
        match self.source {
            Source::Live => Ok(()),
            Source::Recorded { rejoined: true } => {
                self.source = Source::Live;
                Ok(())
            }
            Source::Recorded { rejoined: false } | Source::Lost => {
                self.source = Source::Lost;
                let cause = match &self.call {
                    Some(call) => format!(
                        "the process ended during `{}`, and the environment with it: the effect of the call is unknown",
                        call.name
                    ),
                    None => "the process ended, and the environment with it".to_owned(),
                };
                Err(EnvironmentError::Lost { cause })
            }
        }
    }

    /// Continues the call that was open where the records end: repeats it, or reports its effect as unknown.
    fn settle(&mut self) -> Result<Progress, EnvironmentError> {
        self.go_live()?;
        let Some(call) = self.call.take() else { return self.environment.advance() };
        let effects = self.spec().tools.iter().find(|tool| tool.name == call.name).map(|tool| tool.effects);
        if effects.is_some_and(sojourn_tools::Effects::repeatable) {
            self.environment.begin(&call)?;
            return self.environment.advance();
        }
        let message = format!(
            "the process ended during `{}`: nobody knows whether it took effect; look before you repeat it",
            call.name
        );
        Ok(Progress::Done(ToolOutcome::failed_by(FailureKind::EffectUnknown, message)))
    }

    /// Whether the log still answers.
    fn is_recorded(&self) -> bool {
        matches!(self.source, Source::Recorded { .. }) && !self.trace.is_empty()
    }
}

#[async_trait]
impl Environment for ReplayingEnvironment {
    fn spec(&self) -> &EnvironmentSpec {
        self.environment.spec()
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        self.call = None;
        while self.is_recorded() {
            if let Some(TraceEntry::Reset(_, observation)) = self.trace.pop_front() {
                self.set_observation(observation);
                return Ok(());
            }
        }
        self.source = Source::Live;
        self.environment.reset(seed).await?;
        self.invalidate();
        let observation = self.observe()?;
        self.set_observation(observation);
        Ok(())
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.stale
            && let Some(observation) = &last.observation
        {
            return Ok(observation.clone());
        }
        let entry = self.trace.iter().find(|entry| !entry.ends_call());
        let observation = match (self.source, entry) {
            (Source::Recorded { .. }, Some(TraceEntry::Observed(observation))) => observation.clone(),
            (Source::Live, _) | (Source::Recorded { rejoined: true }, None) => self.environment.observe()?,
            _ => Observation::new("The state is unknown: the environment was lost.", self.state.clone()),
        };
        *last = LastObservation { observation: Some(observation.clone()), stale: false };
        Ok(observation)
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.invalidate();
        while self.is_recorded() {
            match self.trace.front() {
                Some(TraceEntry::Observed(_) | TraceEntry::Returned(_) | TraceEntry::Stopped) => {
                    self.trace.pop_front();
                }
                Some(TraceEntry::Called(recorded)) if recorded == call => {
                    self.trace.pop_front();
                    self.call = Some(call.clone());
                    return Ok(());
                }
                _ => return Err(differs(self.trace.front(), &format!("a call of `{}`", call.name))),
            }
        }
        match self.go_live() {
            Ok(()) => self.environment.begin(call),
            // `advance` reports the loss.
            Err(EnvironmentError::Lost { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        if !self.is_recorded() {
            return self.settle();
        }
        let left = self.trace.len();
        let next = trace::advance(&mut self.trace);
        if self.trace.len() < left {
            self.call = None;
        }
        next
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        self.invalidate();
        if !self.is_recorded() {
            self.go_live()?;
            let stepped = self.environment.step(action).await;
            match &stepped {
                Ok(outcome) => self.state.clone_from(&outcome.state),
                Err(EnvironmentError::Lost { .. }) => (self.source, self.call) = (Source::Lost, None),
                Err(_) => {}
            }
            return stepped;
        }
        let next = trace::step(&mut self.trace, &mut self.state, action);
        if matches!(next, Err(EnvironmentError::Lost { .. })) {
            self.call = None;
        }
        next
    }

    async fn frame(&mut self) -> Option<Frame> {
        // The pictures of the recorded part are in the log. After it a world that goes on is asked.
        let over =
            || self.trace.iter().all(|entry| entry.ends_call() || matches!(entry, TraceEntry::Observed(_)));
        let asked = match self.source {
            Source::Live => true,
            Source::Recorded { rejoined } => rejoined && self.call.is_none() && over(),
            Source::Lost => false,
        };
        if asked { self.environment.frame().await } else { None }
    }

    fn own_name(&self, name: &str) -> Option<&str> {
        self.environment.own_name(name)
    }

    fn permits(&self, action: &Action) -> bool {
        if self.is_recorded() {
            trace::acted_by_reflex(&self.trace, action)
        } else {
            self.environment.permits(action)
        }
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        self.environment.practice()
    }
}
