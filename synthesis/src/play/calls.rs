//! The calls that may be tried in a state.

use super::features::Paths;
use crate::exploration::Random;
use serde_json::{Map, Value};
use sojourn_tools::{EnvironmentSpec, Parameter, ParameterKind, ToolCall, ToolSpec};
use std::collections::BTreeSet;

/// Calls of one tool that are considered in a state, at most.
const OF_A_TOOL: usize = 24;
/// Values of a number that are considered, at most.
const NUMBERS: i64 = 8;
/// Texts of a state that are considered as an argument, at most.
const TEXTS: usize = 24;
/// Words of a state that a command may name, at most.
const NOUNS: usize = 16;
/// What commands begin with in worlds that take sentences. Which of them mean something is found out.
const VERBS: &str = "go take get drop open close use look examine read eat drink put push pull give talk ask attack \
    unlock light enter climb wait inventory wear turn help";
/// Words of a text that name nothing.
const FILLERS: &str =
    "the and you are there here can see with this that from into not your its has have for was were nothing";

/// The calls that play would try in a state: those that the world offers, else calls of the tools that act, with values that their
/// parameters allow and texts that the state shows. `seed` decides which of many.
pub fn calls_to_try(
    environment: &EnvironmentSpec,
    offered: &[ToolCall],
    state: &Value,
    seed: u64,
) -> Vec<ToolCall> {
    let mut paths = Paths::default();
    let features = paths.read(state);
    candidates(environment, offered, &paths.texts(&features), &mut Random::new(seed))
}

/// The calls to try in a state: those that the world offers, else calls of the tools that act. `shown` are the texts in the state.
pub(crate) fn candidates(
    environment: &EnvironmentSpec,
    offered: &[ToolCall],
    shown: &[String],
    random: &mut Random,
) -> Vec<ToolCall> {
    if !offered.is_empty() {
        return offered.to_vec();
    }
    let acting: Vec<&ToolSpec> = environment.tools.iter().filter(|tool| tool.effects.write).collect();
    if let [only] = acting[..]
        && let [parameter] = only.parameters.as_slice()
        && is_free_text(parameter)
    {
        let call = |text: String| ToolCall {
            name: only.name.clone(),
            args: Map::from_iter([(parameter.name.clone(), text.into())]),
        };
        return commands(shown).into_iter().map(call).collect();
    }
    acting.into_iter().flat_map(|tool| calls_of(tool, shown, random)).collect()
}

/// What calls have in common that are likely to do something in the same states: the verb of a command, or the call.
pub(super) fn family(call: &ToolCall) -> String {
    let mut args = call.args.values();
    if let (Some(Value::String(text)), None) = (args.next(), args.next())
        && let Some((verb, _)) = text.split_once(' ')
    {
        return format!("{} {verb}", call.name);
    }
    format!("{} {}", call.name, Value::Object(call.args.clone()))
}

fn calls_of(tool: &ToolSpec, shown: &[String], random: &mut Random) -> Vec<ToolCall> {
    let mut all = vec![Map::new()];
    for parameter in &tool.parameters {
        let values = values(parameter, shown);
        // A text that nothing limits, or a default of nothing: the argument is left out.
        if values.is_empty() {
            continue;
        }
        let mut longer = Vec::new();
        for args in &all {
            for value in &values {
                let mut args = args.clone();
                args.insert(parameter.name.clone(), value.clone());
                longer.push(args);
            }
        }
        while longer.len() > OF_A_TOOL {
            let at = random.below(longer.len());
            longer.swap_remove(at);
        }
        all = longer;
    }
    all.into_iter().map(|args| ToolCall { name: tool.name.clone(), args }).collect()
}

/// Values to try for a parameter: its default, where it has one; otherwise a few.
fn values(parameter: &Parameter, shown: &[String]) -> Vec<Value> {
    if let Some(default) = &parameter.default {
        return Some(default.clone()).filter(|default| !default.is_null()).into_iter().collect();
    }
    match &parameter.kind {
        ParameterKind::Integer { min, max } => whole(*min, *max),
        ParameterKind::Choice(choices) => choices.iter().map(|choice| choice.as_str().into()).collect(),
        ParameterKind::Boolean => vec![true.into(), false.into()],
        ParameterKind::Text => texts(shown),
        ParameterKind::Schema(schema) => {
            if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
                return choices.clone();
            }
            let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
            match (schema.get("type").and_then(Value::as_str), bound("minimum"), bound("maximum")) {
                (Some("integer"), Some(min), Some(max)) => whole(min.ceil() as i64, max.floor() as i64),
                // The ends and the points between them.
                (Some("number"), Some(min), Some(max)) => {
                    (0..5).map(|at| (min + (max - min) * f64::from(at) / 4.0).into()).collect()
                }
                (Some("string"), ..) => texts(shown),
                (Some("boolean"), ..) => vec![true.into(), false.into()],
                _ => Vec::new(),
            }
        }
    }
}

/// The numbers from `min` to `max`; of many, some that lie evenly.
fn whole(min: i64, max: i64) -> Vec<Value> {
    let span = max.saturating_sub(min).max(0);
    if span < NUMBERS {
        return (0..=span).map(|at| Value::from(min.saturating_add(at))).collect();
    }
    let at = |at: i64| min.saturating_add((span as f64 * at as f64 / (NUMBERS - 1) as f64) as i64);
    (0..NUMBERS).map(|part| Value::from(at(part))).collect()
}

fn is_free_text(parameter: &Parameter) -> bool {
    match &parameter.kind {
        ParameterKind::Text => true,
        ParameterKind::Schema(schema) => {
            schema.get("type").and_then(Value::as_str) == Some("string") && schema.get("enum").is_none()
        }
        _ => false,
    }
}

/// The short ones of the texts.
fn texts(shown: &[String]) -> Vec<Value> {
    let short = |text: &&String| !text.is_empty() && text.split_whitespace().nth(4).is_none();
    let found: BTreeSet<&str> = shown.iter().filter(short).map(String::as_str).collect();
    found.into_iter().take(TEXTS).map(Value::from).collect()
}

/// Verbs, and verbs with a word that the state shows.
fn commands(shown: &[String]) -> Vec<String> {
    let mut nouns: Vec<String> = Vec::new();
    for text in shown {
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_') {
            let word = word.to_lowercase();
            let names = word.chars().count() > 2 && !FILLERS.split(' ').any(|filler| filler == word);
            if names && !nouns.contains(&word) && nouns.len() < NOUNS {
                nouns.push(word);
            }
        }
    }
    let verbs = || VERBS.split_whitespace();
    let alone = verbs().map(str::to_owned);
    alone.chain(verbs().flat_map(|verb| nouns.iter().map(move |noun| format!("{verb} {noun}")))).collect()
}
