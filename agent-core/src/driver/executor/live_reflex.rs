use serde_json::Value;
use sojourn_sandbox::{Program, Reflex};
use sojourn_tools::{Action, Grants};

/// A reflex ready to run, and its cooldown.
#[derive(Clone)]
pub struct LiveReflex {
    /// Its name.
    pub name: String,
    /// What it is asked, and when.
    body: Body,
    /// Environment steps that it pauses after an action.
    cooldown: u64,
    /// The step of the episode before which it pauses.
    ready_at: u64,
}

/// The two forms of a reflex.
#[derive(Clone)]
enum Body {
    /// A function of the state, asked before every action.
    Function(Reflex),
    /// A habit: a program that calls tools and skills itself, asked before a skill's next call.
    Habit { program: Program, grants: Grants },
}

impl LiveReflex {
    /// A reflex that pauses for `cooldown` environment steps after an action.
    pub fn new(name: &str, reflex: Reflex, cooldown: u32) -> Self {
        Self { name: name.to_owned(), body: Body::Function(reflex), cooldown: cooldown.into(), ready_at: 0 }
    }

    /// A habit that may call what it was granted, and pauses for `cooldown` environment steps after it acted.
    pub fn habit(name: &str, program: Program, grants: Grants, cooldown: u32) -> Self {
        let body = Body::Habit { program, grants };
        Self { name: name.to_owned(), body, cooldown: cooldown.into(), ready_at: 0 }
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
        let action = self.answer(state).await?;
        self.ready_at = step + self.cooldown;
        Some(Action(action))
    }

    /// What the function says about a state. A reflex that fails takes no action; the trace of the sandbox has its error.
    pub(in crate::driver) async fn answer(&mut self, state: &Value) -> Option<String> {
        let Body::Function(reflex) = &mut self.body else { return None };
        match reflex.tick(state).await {
            Ok(Value::String(action)) => Some(action),
            _ => None,
        }
    }

    /// The program and its grants, where this is a habit that does not pause.
    pub(super) fn ready_habit(&self, step: u64) -> Option<(Program, Grants)> {
        match &self.body {
            Body::Habit { program, grants } if self.ready_at <= step => {
                Some((program.clone(), grants.clone()))
            }
            _ => None,
        }
    }

    /// Starts a pause of at least `least` steps.
    pub(super) fn pause(&mut self, step: u64, least: u64) {
        self.ready_at = step + self.cooldown.max(least);
    }
}
