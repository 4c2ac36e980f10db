//! A world that remembers what it showed, so that a person can watch afterwards what a skill did in it.

use async_trait::async_trait;
use sojourn_studio::TriedMoment;
use sojourn_tools::outside::text::cut;
use sojourn_tools::{
    Action, Environment, EnvironmentError, EnvironmentSpec, Observation, Progress, StepOutcome, ToolCall,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Limit on the moments that are kept. Of a longer run the first ones are.
const MOST: usize = 1000;
/// Limit on the text of a moment, in characters.
const LONGEST: usize = 4000;

/// What a world showed.
#[derive(Default)]
pub struct Seen {
    /// Before the first step and after each, at most [`MOST`].
    pub moments: Vec<TriedMoment>,
    /// Steps that have no moment.
    pub left_out: usize,
    steps: usize,
}

/// A world whose steps are remembered.
pub struct Watched {
    inner: Box<dyn Environment>,
    seen: Arc<Mutex<Seen>>,
}

impl Watched {
    /// Remembers in `seen` what `inner` shows.
    pub fn new(inner: Box<dyn Environment>, seen: Arc<Mutex<Seen>>) -> Self {
        Self { inner, seen }
    }

    fn remember(&self, action: &str) {
        let mut seen = locked(&self.seen);
        if seen.moments.len() == MOST {
            seen.left_out += 1;
            return;
        }
        let shown = self.inner.observe().map_or_else(|error| error.to_string(), |seen| seen.text);
        let step = seen.steps;
        seen.moments.push(TriedMoment { step, action: cut(action, LONGEST), view: cut(&shown, LONGEST) });
    }
}

/// What was seen so far.
pub fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Environment for Watched {
    fn spec(&self) -> &EnvironmentSpec {
        self.inner.spec()
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        self.inner.reset(seed).await?;
        *locked(&self.seen) = Seen::default();
        self.remember("");
        Ok(())
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        self.inner.observe()
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.inner.begin(call)
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        self.inner.advance()
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        let outcome = self.inner.step(action).await?;
        locked(&self.seen).steps += 1;
        self.remember(&action.0);
        Ok(outcome)
    }

    fn own_name(&self, name: &str) -> Option<&str> {
        self.inner.own_name(name)
    }

    fn permits(&self, action: &Action) -> bool {
        self.inner.permits(action)
    }
}
