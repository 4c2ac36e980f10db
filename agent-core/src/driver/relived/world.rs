//! A world as a log has it, which lives on while the processes that live in it die.

use super::super::delta::merge;
use super::super::tape::{self, Seen, differs};
use super::Lived;
use async_trait::async_trait;
use serde_json::Value;
use sojourn_tools::{
    Action, Environment, EnvironmentError, EnvironmentSpec, Observation, Past, Progress, StepOutcome,
    ToolCall,
};
use std::collections::VecDeque;

/// A world that answers what it answered before, in the same order.
pub(super) struct RecordedWorld {
    spec: EnvironmentSpec,
    tape: VecDeque<Seen>,
    state: Value,
    /// What is seen first in an episode, until something happens.
    first: Option<Observation>,
    /// The call that was under way when the process before died: it may be made again.
    unfinished: Option<ToolCall>,
    /// Whether it had broken off then.
    broken: bool,
}

impl RecordedWorld {
    /// As it stands after so many records.
    pub fn new(spec: EnvironmentSpec, tape: &[(usize, Seen)], lived: Lived) -> Self {
        let (mut state, mut unfinished, mut first) = (Value::Null, None, None);
        let past = tape.iter().take_while(|(place, _)| *place < lived.own);
        let mut broken = false;
        for (_, seen) in past {
            first = None;
            broken = matches!(seen, Seen::Lost { .. });
            match seen {
                Seen::Reset(_, observation) | Seen::Observed(observation) => {
                    state = observation.state.clone();
                    unfinished = None;
                    first = Some(observation.clone());
                }
                Seen::Called(call) => unfinished = Some(call.clone()),
                Seen::Stepped(step) => {
                    if let Some(change) = &step.change {
                        merge(&mut state, change);
                    }
                }
                Seen::Returned(_) | Seen::Refused | Seen::Lost { .. } => unfinished = None,
            }
        }
        let left = tape.iter().skip_while(|(place, _)| *place < lived.own);
        let tape = left.map(|(_, seen)| seen.clone()).collect();
        Self { spec, tape, state, first, unfinished, broken }
    }

    fn differs(&self, now: &str) -> EnvironmentError {
        differs(self.tape.front(), now)
    }
}

#[async_trait]
impl Environment for RecordedWorld {
    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        self.unfinished = None;
        while let Some(seen) = self.tape.pop_front() {
            if let Seen::Reset(recorded, observation) = seen {
                if recorded != seed {
                    return Err(self.differs(&format!("a reset with the seed {seed}")));
                }
                self.state.clone_from(&observation.state);
                self.first = Some(observation);
                return Ok(());
            }
        }
        Err(self.differs("a reset"))
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        if let Some(first) = &self.first {
            return Ok(first.clone());
        }
        // Calls that were stopped are not asked how they ended.
        match self.tape.iter().find(|seen| !matches!(seen, Seen::Returned(_) | Seen::Refused)) {
            Some(Seen::Observed(observation)) => Ok(observation.clone()),
            // A look that the log does not have; its state is known.
            _ => Ok(Observation { text: String::new(), state: self.state.clone() }),
        }
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.first = None;
        if self.unfinished.take().as_ref() == Some(call) {
            return Ok(());
        }
        while let Some(Seen::Observed(_) | Seen::Returned(_) | Seen::Refused) = self.tape.front() {
            self.tape.pop_front();
        }
        match self.tape.front() {
            Some(Seen::Called(recorded)) if recorded == call => {
                self.tape.pop_front();
                Ok(())
            }
            _ => Err(self.differs(&format!("a call of `{}`", call.name))),
        }
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        tape::advance(&mut self.tape)
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        self.first = None;
        tape::step(&mut self.tape, &mut self.state, action)
    }

    async fn rejoin(&mut self, past: &Past) -> Result<bool, EnvironmentError> {
        Ok(!self.broken && self.state == past.state)
    }
}
