use serde_json::Value;
use sojourn_sandbox::Reflex;
use sojourn_tools::Action;

/// A reflex ready to run, and its cooldown.
#[derive(Clone)]
pub struct LiveReflex {
    /// Its name.
    pub name: String,
    /// The loaded program.
    pub reflex: Reflex,
    /// Environment steps that it pauses after an action.
    cooldown: u64,
    /// The step of the episode before which it pauses.
    ready_at: u64,
}

impl LiveReflex {
    /// A reflex that pauses for `cooldown` environment steps after an action.
    pub fn new(name: &str, reflex: Reflex, cooldown: u32) -> Self {
        Self { name: name.to_owned(), reflex, cooldown: u64::from(cooldown), ready_at: 0 }
    }

    /// The reflex without a pause, as at the start of an episode.
    #[must_use]
    pub fn rested(&self) -> Self {
        Self { ready_at: 0, ..self.clone() }
    }

    /// The action that the reflex wants in this state; `None` while it pauses. An action starts its cooldown.
    pub(super) async fn decide(&mut self, state: &Value, step: u64) -> Option<Action> {
        if self.ready_at > step {
            return None;
        }
        // A reflex that fails takes no action; the trace of the sandbox has its error.
        let Ok(Value::String(action)) = self.reflex.tick(state).await else { return None };
        self.ready_at = step + self.cooldown;
        Some(Action(action))
    }
}
