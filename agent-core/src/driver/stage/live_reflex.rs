//! A reflex in a world.

use serde_json::Value;
use sojourn_sandbox::Reflex;
use sojourn_tools::Action;

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

    /// What it wants to do in this state, unless it rests; having acted, it rests.
    pub(super) async fn decide(&mut self, state: &Value, step: u64) -> Option<Action> {
        if self.ready_at > step {
            return None;
        }
        // A reflex that fails has no opinion; its error is in the trace of the sandbox.
        let Ok(Value::String(action)) = self.reflex.tick(state).await else { return None };
        self.ready_at = step + self.cooldown;
        Some(Action(action))
    }
}
