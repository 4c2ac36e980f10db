//! Drawing lessons from the events of an episode.

use super::{WorldText, message, prompt, push_line, request};
use serde_json::json;
use sojourn_controller::{Request, Role};
use sojourn_tools::EnvironmentSpec;

/// The longest lesson, in characters.
const LESSON_LENGTH: u32 = 160;
/// Most events that one lesson may name as its sources.
const SOURCES: usize = 4;
/// Most tokens of the answer's frame.
const ANSWER_TOKENS: u32 = 16;
/// Most tokens of each lesson in it.
const LESSON_TOKENS: u32 = 72;

/// Asks for at most `most` lessons, each with the numbers of the events that show it.
pub(in crate::core) fn consolidate(spec: &EnvironmentSpec, events: &[&str], most: u32, seed: u64) -> Request {
    let system = prompt!("consolidate", "system", about = spec.about, most = most);
    let mut user = String::new();
    push_line(&mut user, &prompt!("consolidate", "events"));
    let world = WorldText::of(spec);
    if let Some(introduction) = world.inline_introduction() {
        push_line(&mut user, &introduction);
    }
    for (number, event) in (1..).zip(events) {
        let event = world.inline(event);
        push_line(&mut user, &prompt!("consolidate", "event", number = number, event = event));
    }
    let lesson = json!({
        "type": "object",
        "properties": {
            "lesson": {"type": "string", "maxLength": LESSON_LENGTH},
            "because": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": events.len()},
                "minItems": 1,
                "maxItems": SOURCES,
            },
        },
        "required": ["lesson", "because"],
        "additionalProperties": false,
    });
    let schema = json!({
        "type": "object",
        "properties": {"lessons": {"type": "array", "items": lesson, "minItems": 1, "maxItems": most}},
        "required": ["lessons"],
        "additionalProperties": false,
    });
    let messages = vec![message(Role::System, system), message(Role::User, user)];
    request(messages, schema, seed, ANSWER_TOKENS + LESSON_TOKENS * most)
}
