//! The requests that the core makes of the controller, one file for each.
//!
//! Every sentence stands in `agent-core/prompts/*.md`; the code here computes values and fills them in. Parts that never
//! change come first, so that the controller's cache keeps them; only the tail differs from call to call.

mod choose;
mod choose_action;
mod compare;
mod consolidate;
pub(super) mod goal;
pub(super) mod memories;
pub(super) mod notes;
pub(super) mod outside;
pub(super) mod plan;
mod reflect;
mod scene;
mod template;
mod tools;
mod words;
mod write;
mod write_reflex;

#[cfg(test)]
mod tests;

pub(super) use choose::{Choice, choose};
pub(super) use choose_action::{ActionChoice, choose_action};
pub(super) use compare::{MOST_LESSONS, compare, contradicted_by, same_as};
pub(super) use consolidate::consolidate;
pub(super) use outside::WorldText;
pub(super) use reflect::{reflect_on_death, reflect_on_giving_up};
pub(super) use scene::Scene;
use template::prompt;
pub(super) use tools::{Consultable, nudge, stuck};
pub(super) use words::Words;
pub(super) use write::{Writing, demonstration, write};
pub(super) use write_reflex::{ReflexWriting, did_not_help, did_nothing, reflex_head, write_reflex};

use serde_json::{Map, Value, json};
use sojourn_controller::{Constraint, Message, Part, Priority, Request, Role, Sampling};
use sojourn_tools::Parameter;
use std::collections::BTreeMap;

/// A message of one part.
fn message(role: Role, text: String) -> Message {
    Message { role, parts: vec![Part::new(text)] }
}

/// A request for one answer under `schema`.
fn request(messages: Vec<Message>, schema: Value, seed: u64, max_tokens: u32) -> Request {
    Request {
        messages,
        prefill: String::new(),
        constraint: Constraint::JsonSchema(schema),
        candidates: 1,
        sampling: Sampling { temperature: 0.6, top_p: 0.95, min_p: 0.05, seed },
        max_tokens,
        stop: Vec::new(),
        scored: Vec::new(),
        deadline_ms: None,
        teacher: false,
        priority: Priority::default(),
        pictures: BTreeMap::new(),
    }
}

/// How the candidates of a program are sampled.
struct Decoding {
    candidates: u32,
    temperature: f32,
    /// Most tokens of each candidate.
    max_tokens: u32,
    seed: u64,
}

/// A request for candidates of a program: the rest of a function whose `head` is given, under a Lark grammar.
fn program_request(messages: Vec<Message>, head: String, grammar: &str, decoding: &Decoding) -> Request {
    let Decoding { candidates, temperature, max_tokens, seed } = *decoding;
    Request {
        messages,
        prefill: head,
        constraint: Constraint::Lark(grammar.to_owned()),
        candidates,
        sampling: Sampling { temperature, top_p: 0.95, min_p: 0.05, seed },
        max_tokens,
        stop: Vec::new(),
        scored: Vec::new(),
        deadline_ms: None,
        teacher: false,
        priority: Priority::default(),
        pictures: BTreeMap::new(),
    }
}

/// The schema of an object with `key: name` and the parameters' values.
fn option_schema(key: &str, name: &str, parameters: &[Parameter]) -> Value {
    let mut properties = Map::from_iter([(key.to_owned(), json!({"const": name}))]);
    let mut required = vec![key];
    for parameter in parameters {
        properties.insert(parameter.name.clone(), parameter.schema());
        required.push(&parameter.name);
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
