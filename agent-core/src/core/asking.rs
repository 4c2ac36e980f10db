//! Requests to the controller, and its failures.

use super::{Core, Phase, seeds};
use crate::model::{Effect, FinishReason, Purpose};
use serde_json::{Map, Value};
use sojourn_controller::{Part, Reply, Request, Role};

/// Failures of the controller in a row after which a run ends.
const CONTROLLER_PATIENCE: u32 = 3;

impl Core {
    /// Sends a request; `phase` waits for the answer.
    pub(super) fn think(&mut self, purpose: Purpose, request: Request, phase: Phase) -> Vec<Effect> {
        self.phase = phase;
        self.asked_teacher = request.teacher;
        vec![Effect::AskController { purpose, request }]
    }

    /// A sampling seed that no earlier request of the run had.
    pub(super) fn request_seed(&mut self) -> u64 {
        self.requests += 1;
        seeds::draw(self.config.seed, "request", self.requests)
    }

    /// Ends the run after too many failures in a row; otherwise continues with `fallback`.
    pub(super) fn controller_failed(
        &mut self,
        error: String,
        fallback: impl FnOnce(&mut Self) -> Vec<Effect>,
    ) -> Vec<Effect> {
        self.controller_failures += 1;
        if self.controller_failures >= CONTROLLER_PATIENCE {
            return self.finish(FinishReason::Controller { error });
        }
        fallback(self)
    }

    /// Adds the user's instructions to the system message of a request.
    pub fn instruct(&self, request: &mut Request) {
        let Some(instructions) = self.config.instructions.as_deref().map(str::trim) else { return };
        if instructions.is_empty() {
            return;
        }
        let system = request.messages.iter_mut().find(|message| message.role == Role::System);
        if let Some(system) = system {
            let shown = if self.from_elsewhere {
                super::prompts::outside::instructions(instructions)
            } else {
                instructions.to_owned()
            };
            system.parts.push(Part::new(format!("\n{shown}")));
        }
    }
}

/// The first candidate as JSON; null where it was cut short.
pub(super) fn json_answer(reply: &Reply) -> Value {
    let text = reply.candidates.first().map_or("", |candidate| candidate.text.as_str());
    serde_json::from_str(text).unwrap_or_default()
}

/// The first candidate as a JSON object; empty where it was cut short.
pub(super) fn object_answer(reply: &Reply) -> Map<String, Value> {
    match json_answer(reply) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
