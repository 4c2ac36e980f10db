//! Writing a reflex after a death.

use super::outside::{self, name_from_outside};
use super::{Decoding, Words, WorldText, message, program_request, prompt, push_line};
use crate::config::ReflexConfig;
use crate::model::Moment;
use serde_json::Value;
use sojourn_controller::{Request, Role};
use sojourn_primitives::JsonPointer;
use sojourn_skills::ReflexFigures;
use sojourn_tools::EnvironmentSpec;
use sojourn_tools::outside::quote;
use sojourn_tools::outside::terminal::escaped_json;

/// Moments shown to the controller, the latest.
const MOMENTS: usize = 4;
/// Nested records with more fields than this are left out: they describe the world, not the moment.
const MOST_FIELDS: usize = 8;

/// The input of a request for a reflex.
pub(in crate::core) struct ReflexWriting<'a> {
    pub spec: &'a EnvironmentSpec,
    pub words: &'a Words,
    /// The reflex's name.
    pub name: &'a str,
    /// The cause of the death that it should prevent.
    pub cause: &'a str,
    /// The last moments, the latest last.
    pub moments: &'a [Moment],
    /// Notes from the round before.
    pub notes: &'a [String],
    /// The grammar of the function's body.
    pub grammar: String,
}

/// Asks for several candidates of one reflex: the rest of a function whose head is given.
pub(in crate::core) fn write_reflex(
    writing: &ReflexWriting<'_>,
    config: &ReflexConfig,
    temperature: f32,
    seed: u64,
) -> Request {
    let ReflexWriting { spec, words, .. } = writing;
    let actions: Vec<String> = if spec.untrusted {
        spec.actions.iter().map(|name| name_from_outside(name)).collect()
    } else {
        spec.actions.clone()
    };
    let system = prompt!(
        "write_reflex",
        "system",
        agent = words.agent,
        about = spec.about,
        actions = actions.join(", "),
        controls = spec.controls,
    );
    let example = &words.reflex_example;
    let mut messages = vec![message(Role::System, system)];
    messages.extend(outside::example(example, example.task.clone()));
    messages.push(message(Role::User, request_text(writing)));
    let decoding =
        Decoding { candidates: config.candidates, temperature, max_tokens: config.max_tokens, seed };
    program_request(messages, reflex_head(writing.name), &writing.grammar, &decoding)
}

/// The line that a reflex's source starts with.
pub(in crate::core) fn reflex_head(name: &str) -> String {
    format!("function {name}(state) {{\n")
}

/// The note after the best candidate brought nothing.
pub(in crate::core) fn did_not_help(words: &Words, figures: &ReflexFigures) -> String {
    let steps = figures.steps;
    prompt!(
        "write_reflex",
        "did_not_help",
        agent = words.agent,
        with = format!("{:.0}", steps.with),
        without = format!("{:.0}", steps.without),
    )
}

/// The note after no candidate acted in the recorded moments.
pub(in crate::core) fn did_nothing() -> String {
    prompt!("write_reflex", "did_nothing")
}

fn request_text(writing: &ReflexWriting<'_>) -> String {
    let mut text = String::new();
    let subject = &writing.words.subject;
    let world = WorldText::of(writing.spec);
    if let Some(introduction) = world.inline_introduction() {
        push_line(&mut text, &introduction);
    }
    let cause = world.inline(writing.cause);
    push_line(&mut text, &prompt!("write_reflex", "cause", subject = subject, cause = cause));
    let shown = &writing.moments[writing.moments.len().saturating_sub(MOMENTS)..];
    for (moment, next) in shown.iter().zip(shown.iter().skip(1).map(Some).chain([None])) {
        let state = relevant(&moment.state).to_string();
        let state = escaped_json(&state);
        let mut line =
            prompt!("write_reflex", "moment", state = state, action = quote::inline(&moment.action));
        line.push_str(&harm(&writing.spec.vitals, moment, next));
        push_line(&mut text, &line);
    }
    for note in writing.notes {
        push_line(&mut text, note);
    }
    text.push_str(&prompt!("write_reflex", "request", name = writing.name));
    text
}

/// The vitals that fell with a moment's action; the last moment has no `next`.
fn harm(vitals: &[JsonPointer], moment: &Moment, next: Option<&Moment>) -> String {
    let Some(next) = next else { return prompt!("write_reflex", "end") };
    let number = |state: &Value, path: &JsonPointer| path.find(state).and_then(Value::as_f64).unwrap_or(0.0);
    let falls = vitals.iter().filter_map(|path| {
        let fall = number(&moment.state, path) - number(&next.state, path);
        let vital = path.last().unwrap_or_default();
        (fall > 0.0).then(|| prompt!("write_reflex", "fell", vital = vital, fall = fall))
    });
    falls.collect()
}

/// The state without fields that are zero, false or empty, and without large nested records.
fn relevant(state: &Value) -> Value {
    let Value::Object(fields) = state else { return state.clone() };
    let kept = fields.iter().filter_map(|(key, value)| {
        let value = relevant(value);
        let empty = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(inner) => inner.is_empty() || inner.len() > MOST_FIELDS,
            Value::Bool(true) => false,
        };
        (!empty).then(|| (key.clone(), value))
    });
    Value::Object(kept.collect())
}
