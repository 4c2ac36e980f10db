//! A world that does not do the same twice, as its log saw it.
//!
//! Where an environment is deterministic, a replay steps it again. Any other is not asked a second time: the log
//! answers for it while records are left, skills and reflexes run against those answers, and only then the world itself
//! is met, if it still stands where it stood. What was under way when a process ended is settled by what its tool
//! declares; nothing that may have taken effect is silently repeated.

use super::journal::Journal;
use super::tape::{self, Seen, differs, past};
use async_trait::async_trait;
use serde_json::Value;
use sojourn_tools::{
    Action, Environment, EnvironmentError, EnvironmentSpec, Observation, Progress, StepOutcome, ToolCall,
    ToolOutcome,
};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What the agent is told of a call that was under way when a process died, and that may not be repeated.
pub(super) const UNKNOWN: &str = "it is unknown whether it took effect; look before you repeat it";

/// How the world itself stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The log answers for it; whether the world will go on where the log ends.
    Recorded { rejoined: bool },
    /// It is met.
    Live,
    /// It did not survive the process that it was met by.
    Lost,
}

/// A world of which everything that is seen is kept, or was.
pub(super) struct Witness {
    world: Box<dyn Environment>,
    tape: VecDeque<Seen>,
    standing: Standing,
    state: Value,
    /// The call that the log has no outcome of yet.
    call: Option<ToolCall>,
    told: Mutex<Told>,
}

/// What was told last: the same is told again until something happens, because nobody records a mere look.
#[derive(Default)]
struct Told {
    observation: Option<Observation>,
    stale: bool,
}

impl Witness {
    /// The world as `journal` has seen it. Where the journal goes on to write, the world is asked whether it still stands
    /// where the records end.
    ///
    /// # Errors
    /// When a record cannot be read, or the world breaks.
    pub(super) async fn new(
        mut world: Box<dyn Environment>,
        journal: &Journal,
    ) -> Result<Self, super::DriveError> {
        let left = journal.left().map(|record| (0, record));
        let seen = tape::tape(journal.store(), left, world.spec()).await?;
        let tape: VecDeque<Seen> = seen.into_iter().map(|(_, seen)| seen).collect();
        let standing = match past(&tape) {
            None => Standing::Live,
            Some(past) => {
                let rejoined =
                    journal.writes() && world.rejoin(&past).await.map_err(super::StageError::from)?;
                Standing::Recorded { rejoined }
            }
        };
        Ok(Self { world, tape, standing, state: Value::Null, call: None, told: Mutex::default() })
    }

    fn happened(&mut self) {
        self.told.get_mut().unwrap_or_else(PoisonError::into_inner).stale = true;
    }

    fn tell(&mut self, observation: Observation) {
        self.state = observation.state.clone();
        *self.told.get_mut().unwrap_or_else(PoisonError::into_inner) =
            Told { observation: Some(observation), stale: false };
    }

    /// Meets the world where the records end.
    fn meet(&mut self) -> Result<(), EnvironmentError> {
        match self.standing {
            Standing::Live => Ok(()),
            Standing::Recorded { rejoined: true } => {
                self.standing = Standing::Live;
                Ok(())
            }
            Standing::Recorded { rejoined: false } | Standing::Lost => {
                self.standing = Standing::Lost;
                let cause = match &self.call {
                    Some(call) => format!(
                        "the process ended during `{}`, and the world with it: what came of it is unknown",
                        call.name
                    ),
                    None => "the process ended, and the world with it".to_owned(),
                };
                Err(EnvironmentError::Lost { cause })
            }
        }
    }

    /// Says what becomes of the call that was under way where the records end.
    fn settle(&mut self) -> Result<Progress, EnvironmentError> {
        self.meet()?;
        let Some(call) = self.call.take() else { return self.world.advance() };
        let effects = self.world.spec().tools.iter().find(|tool| tool.name == call.name).map(|t| t.effects);
        if effects.is_some_and(|effects| !effects.write || effects.idempotent) {
            self.world.begin(&call)?;
            return self.world.advance();
        }
        Ok(Progress::Done(ToolOutcome::failed(format!(
            "the process ended during `{}`: {UNKNOWN}",
            call.name
        ))))
    }

    /// Whether the log still answers.
    fn recorded(&self) -> bool {
        matches!(self.standing, Standing::Recorded { .. }) && !self.tape.is_empty()
    }
}

#[async_trait]
impl Environment for Witness {
    fn spec(&self) -> &EnvironmentSpec {
        self.world.spec()
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        self.call = None;
        while self.recorded() {
            if let Some(Seen::Reset(_, observation)) = self.tape.pop_front() {
                self.tell(observation);
                return Ok(());
            }
        }
        self.standing = Standing::Live;
        self.world.reset(seed).await?;
        self.happened();
        let observation = self.observe()?;
        self.tell(observation);
        Ok(())
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.stale
            && let Some(observation) = &told.observation
        {
            return Ok(observation.clone());
        }
        let seen = self.tape.iter().find(|seen| !matches!(seen, Seen::Returned(_) | Seen::Refused));
        let observation = match (self.standing, seen) {
            (Standing::Recorded { .. }, Some(Seen::Observed(observation))) => observation.clone(),
            (Standing::Live, _) | (Standing::Recorded { rejoined: true }, None) => self.world.observe()?,
            _ => Observation {
                text: "What is there now is unknown: the process ended, and the world with it.".to_owned(),
                state: self.state.clone(),
            },
        };
        *told = Told { observation: Some(observation.clone()), stale: false };
        Ok(observation)
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.happened();
        while self.recorded() {
            match self.tape.front() {
                Some(Seen::Observed(_) | Seen::Returned(_) | Seen::Refused) => {
                    self.tape.pop_front();
                }
                Some(Seen::Called(recorded)) if recorded == call => {
                    self.tape.pop_front();
                    self.call = Some(call.clone());
                    return Ok(());
                }
                _ => return Err(differs(self.tape.front(), &format!("a call of `{}`", call.name))),
            }
        }
        match self.meet() {
            Ok(()) => self.world.begin(call),
            // The next question is answered with it.
            Err(EnvironmentError::Lost { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        if !self.recorded() {
            return self.settle();
        }
        let left = self.tape.len();
        let next = tape::advance(&mut self.tape);
        if self.tape.len() < left {
            self.call = None;
        }
        next
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        self.happened();
        if !self.recorded() {
            self.meet()?;
            let outcome = self.world.step(action).await?;
            self.state.clone_from(&outcome.state);
            return Ok(outcome);
        }
        let next = tape::step(&mut self.tape, &mut self.state, action);
        if matches!(next, Err(EnvironmentError::Lost { .. })) {
            self.call = None;
        }
        next
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        self.world.practice()
    }
}
