//! Asking for one lesson from a failure.

use super::{WorldText, message, prompt};
use crate::model::as_javascript;
use sojourn_controller::{Constraint, Priority, Request, Role, Sampling};
use sojourn_tools::{EnvironmentSpec, ToolCall};
use std::collections::BTreeMap;

/// The longest lesson, in characters.
const LESSON_LENGTH: u32 = 160;
/// Most tokens of a lesson.
const LESSON_TOKENS: u32 = 48;

/// Asks what to do differently after `call` was under way when the episode ended with `cause`.
pub(in crate::core) fn reflect_on_death(
    spec: &EnvironmentSpec,
    call: &ToolCall,
    cause: &str,
    observation: &str,
    seed: u64,
) -> Request {
    let world = WorldText::of(spec);
    let failure = prompt!(
        "reflect",
        "after_death",
        call = as_javascript(call),
        cause = world.inline(cause),
        observation = world.block(observation),
    );
    reflect(spec, failure, seed)
}

/// Asks what to do differently after so many rounds of writing a skill for `task` failed.
pub(in crate::core) fn reflect_on_giving_up(
    spec: &EnvironmentSpec,
    task: &str,
    rounds: u32,
    notes: &[String],
    seed: u64,
) -> Request {
    let failure =
        prompt!("reflect", "after_giving_up", rounds = rounds, task = task, notes = notes.join(" "));
    reflect(spec, failure, seed)
}

fn reflect(spec: &EnvironmentSpec, failure: String, seed: u64) -> Request {
    let system = prompt!("reflect", "system", about = spec.about);
    Request {
        messages: vec![message(Role::System, system), message(Role::User, failure)],
        prefill: String::new(),
        constraint: Constraint::line(LESSON_LENGTH),
        candidates: 1,
        sampling: Sampling { temperature: 0.3, top_p: 0.95, min_p: 0.05, seed },
        max_tokens: LESSON_TOKENS,
        stop: vec!["\n".to_owned()],
        scored: Vec::new(),
        deadline_ms: None,
        teacher: false,
        priority: Priority::default(),
        pictures: BTreeMap::new(),
    }
}
