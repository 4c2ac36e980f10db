//! What of a recording may differ the next time: typed and chosen values become parameters, and secrets the names of variables.

use crate::error::{Failure, Kind};
use anyhow::Result;
use serde_json::{Map, Value, json};
use sojourn_browser::{RecordedAction, WebSecret, secret_named};
use sojourn_primitives::RESERVED;
use sojourn_synthesis::{DemonstratedCall, Recording, UiElement, UiState, identifier};
use sojourn_tools::{ArgumentSource, EnvironmentSpec, Parameter, ParameterKind};
use std::collections::{BTreeMap, BTreeSet};

/// The longest name of a parameter that is made of the words of a field, in words.
const WORDS: usize = 3;
/// Options that are listed in the type of a parameter, at most.
const OPTIONS: usize = 12;
/// Names that the programs use themselves.
const OWN_NAMES: [&str; 9] = ["goal", "observe", "e", "a", "b", "o", "all", "near", "elements"];

/// A recording with its parameters.
pub struct Generalised {
    pub recording: Recording,
    /// The secrets that are typed, by their variables.
    pub secrets: BTreeMap<String, WebSecret>,
    /// Their values, to check that nothing keeps them. They are written nowhere.
    pub values: Vec<(String, String)>,
}

/// What the person said about values.
pub struct Said<'a> {
    /// The name of the skill.
    pub skill: &'a str,
    /// Parameters by name, each with its value.
    pub named: &'a [(String, String)],
    /// Variables with secrets, and their values.
    pub declared: &'a [(String, String)],
    /// The variable of a site that has one secret alone.
    pub only_secret: Option<&'a str>,
}

/// Makes parameters of the values.
///
/// # Errors
/// When a state is not what the environment declares.
pub fn generalise(
    said: &Said<'_>,
    actions: &[RecordedAction],
    spec: &EnvironmentSpec,
) -> Result<Generalised> {
    let mut made = Made {
        said,
        spec,
        parameters: Vec::new(),
        arguments: Map::new(),
        secrets: BTreeMap::new(),
        values: Vec::new(),
    };
    // Secrets first, so that no state shows them.
    for action in actions {
        made.learn(action)?;
    }
    for (name, value) in said.declared {
        if !made.values.iter().any(|(known, _)| known == name) {
            made.values.push((name.clone(), value.clone()));
        }
    }
    // The longest first: one secret may begin another.
    made.values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    let mut steps = Vec::new();
    for action in actions {
        let mut call = action.call.clone();
        let mut state = action.state.clone();
        made.hide(&mut state);
        for value in call.args.values_mut() {
            made.hide(value);
        }
        let seen = UiState::read(spec, &state)?;
        made.parameters_of(&call.name, &call.args, &seen);
        steps.push(DemonstratedCall { state: seen, call });
    }
    for (name, value) in said.named {
        made.add_named(name, value);
    }
    let Made { parameters, arguments, secrets, values, .. } = made;
    Ok(Generalised { recording: Recording { parameters, arguments, steps }, secrets, values })
}

/// Secrets under this length, in bytes, are replaced only where they are the whole of a text: they stand in too many words.
const SHORT: usize = 4;

/// Replaces secrets by the texts by which they are typed, in all texts of a value.
fn hide(values: &[(String, String)], value: &mut Value) {
    match value {
        Value::String(text) => {
            for (name, secret) in values.iter().filter(|(_, secret)| !secret.is_empty()) {
                if text == secret {
                    *text = secret_named(name);
                } else if secret.len() >= SHORT && text.contains(secret.as_str()) {
                    *text = text.replace(secret.as_str(), &secret_named(name));
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(values, item)),
        Value::Object(members) => members.values_mut().for_each(|member| hide(values, member)),
        _ => {}
    }
}

struct Made<'a> {
    said: &'a Said<'a>,
    spec: &'a EnvironmentSpec,
    parameters: Vec<Parameter>,
    arguments: Map<String, Value>,
    secrets: BTreeMap<String, WebSecret>,
    values: Vec<(String, String)>,
}

impl Made<'_> {
    /// Notes the secret that an action types.
    fn learn(&mut self, action: &RecordedAction) -> Result<()> {
        let Some(text) = action.call.args.get("text").and_then(Value::as_str).filter(|text| !text.is_empty())
        else {
            return Ok(());
        };
        let declared = self.said.declared.iter().find(|(_, value)| value == text);
        let known = self.values.iter().find(|(_, value)| value == text).map(|(name, _)| name.clone());
        let reference = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        if !action.secret && declared.is_none() && reference.is_none() {
            return Ok(());
        }
        let seen = UiState::read(self.spec, &action.state)?;
        let field = action.call.args.get("target").and_then(|id| seen.element(id));
        let name = match (known, declared, reference) {
            (Some(name), ..) => name,
            (None, Some((name, _)), _) => name.clone(),
            (None, None, Some(name)) => name.to_owned(),
            (None, None, None) if self.values.is_empty() && self.said.only_secret.is_some() => {
                self.said.only_secret.unwrap_or_default().to_owned()
            }
            (None, None, None) => self.free_variable(&field.map(words_of).unwrap_or_default()),
        };
        if reference.is_none() && !self.values.iter().any(|(known, _)| *known == name) {
            self.values.push((name.clone(), text.to_owned()));
        }
        let secret = self.secrets.entry(name).or_default();
        // A field that is not one for passwords must be named.
        if !action.covered
            && reference.is_none()
            && let Some(field) = field
            && !secret.fields.contains(&field.label)
        {
            secret.fields.push(field.label.clone());
        }
        Ok(())
    }

    /// A name for a variable that no other secret has.
    fn free_variable(&self, words: &str) -> String {
        let stem = format!("{}_{words}", self.said.skill).trim_end_matches('_').to_uppercase();
        let is_free = |name: &String| self.values.iter().all(|(known, _)| known != name);
        let numbered = (2..).map(|number| format!("{stem}_{number}"));
        std::iter::once(stem.clone()).chain(numbered).find(is_free).unwrap_or_default()
    }

    fn hide(&self, value: &mut Value) {
        hide(&self.values, value);
    }

    /// Adds a parameter for each argument of a call that is typed or chosen.
    fn parameters_of(&mut self, tool: &str, args: &Map<String, Value>, seen: &UiState) {
        let Some(declared) = self.spec.tools.iter().find(|one| one.name == tool) else { return };
        let element = args.values().find_map(|value| seen.element(value));
        let names: Vec<String> = declared.parameters.iter().map(|parameter| parameter.name.clone()).collect();
        for (position, name) in names.iter().enumerate() {
            let text = args.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            if let (Some(text), true) = (text, self.is_said(tool, position)) {
                self.add(text, element);
            }
        }
    }

    /// Whether the environment says that this argument is words, and no element.
    fn is_said(&self, tool: &str, position: usize) -> bool {
        let actions = self.spec.exploration.iter().flat_map(|spec| &spec.actions);
        let mut of_tool = actions.filter(|action| action.tool == tool);
        of_tool.any(|action| {
            matches!(action.args.get(position), Some(ArgumentSource::GoalText | ArgumentSource::OptionOf(_)))
        })
    }

    fn add(&mut self, text: &str, field: Option<&UiElement>) {
        if self.arguments.values().any(|known| as_text(known) == text) {
            return;
        }
        let given = self.said.named.iter().find(|(_, value)| value == text).map(|(name, _)| name.clone());
        let name = given.unwrap_or_else(|| self.free(&field.map(words_of).unwrap_or_default()));
        let is_secret = self.secrets.keys().any(|variable| secret_named(variable) == text);
        let (value, schema) = typed(text, field);
        let (kind, default) = if is_secret {
            (ParameterKind::Text, Some(text.into()))
        } else {
            (ParameterKind::Schema(schema), None)
        };
        self.parameters.push(Parameter { name: name.clone(), kind, default });
        self.arguments.insert(name, value);
    }

    fn add_named(&mut self, name: &str, value: &str) {
        if !self.arguments.contains_key(name) {
            let schema = json!({"type": "string", "examples": [value]});
            self.parameters.push(Parameter {
                name: name.to_owned(),
                kind: ParameterKind::Schema(schema),
                default: None,
            });
            self.arguments.insert(name.to_owned(), value.into());
        }
    }

    /// A name for a parameter that nothing else has.
    fn free(&self, words: &str) -> String {
        let words = if words.is_empty() { "text" } else { words };
        let is_free = |name: &String| {
            !self.arguments.contains_key(name)
                && name != self.said.skill
                && !is_taken(name, self.spec)
                && !self.said.named.iter().any(|(named, _)| named == name)
        };
        let numbered = (2..).map(|number| format!("{words}{number}"));
        let mut names = [words.to_owned(), format!("{words}_value")].into_iter().chain(numbered);
        names.find(is_free).unwrap_or_default()
    }
}

/// Whether a parameter cannot have this name.
fn is_taken(name: &str, spec: &EnvironmentSpec) -> bool {
    let own = |stem: &str| {
        name.strip_prefix(stem).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == 'b'))
    };
    RESERVED.contains(&name)
        || OWN_NAMES.contains(&name)
        || (own("element") && name != "element")
        || (own("text") && name != "text")
        || spec.tools.iter().any(|tool| tool.name == name)
}

/// Checks a name that the person gave to a parameter or to the skill.
///
/// # Errors
/// It is no identifier, or means something else in programs.
pub fn check_name(what: &str, name: &str, spec: &EnvironmentSpec) -> Result<()> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_identifier =
        name.chars().all(is_word) && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if is_identifier && name.len() <= 60 && !is_taken(name, spec) {
        return Ok(());
    }
    let problem = if is_identifier { "has another meaning in programs" } else { "is no name of a function" };
    Err(Failure::new(Kind::Usage, format!("{what} `{name}` {problem}"))
        .hint("use letters, digits and underscores, as in `log_in`")
        .into())
}

/// The first words of a field, as a name; empty where it has none.
fn words_of(field: &UiElement) -> String {
    let words: Vec<&str> =
        field.label.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let words = words.into_iter().take(WORDS).collect::<Vec<_>>().join(" ");
    if words.is_empty() { String::new() } else { identifier(&words).trim_end_matches('_').to_owned() }
}

/// The value of a text in a field, and the JSON Schema of the values that the field takes.
fn typed(text: &str, field: Option<&UiElement>) -> (Value, Value) {
    let plain = || (Value::from(text), json!({"type": "string", "examples": [text]}));
    let Some(field) = field else { return plain() };
    let options = field.fields.iter().find_map(|one| match &one.value {
        sojourn_synthesis::FieldValue::Texts(options) if one.name == "options" => Some(options),
        _ => None,
    });
    match field.kind.as_str() {
        "number" | "spinbutton" | "slider" => match text.parse::<serde_json::Number>() {
            Ok(number) if number.to_string() == text => {
                let value = Value::Number(number);
                let schema = json!({"type": "number", "examples": [value]});
                (value, schema)
            }
            _ => plain(),
        },
        "date" => (text.into(), json!({"type": "string", "format": "date", "examples": [text]})),
        _ => match options {
            Some(options) if (1..=OPTIONS).contains(&options.len()) => {
                let known: BTreeSet<&str> = options.iter().map(String::as_str).chain([text]).collect();
                (text.into(), json!({"type": "string", "enum": known, "examples": [text]}))
            }
            _ => plain(),
        },
    }
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_tools::ToolCall;

    fn spec() -> EnvironmentSpec {
        let described = json!({
            "name": "site", "start": "http://127.0.0.1:9/", "practice": true,
            "tasks": {"log_in": {"goal": "", "success": "false"}},
        });
        super::super::explorable(&serde_json::from_value(described).unwrap()).unwrap()
    }

    /// What was typed into fields, by their names; the second says whether it is secret, the third whether the field covers it.
    fn typed_into(fields: &[(&str, &str, bool, bool)]) -> Vec<RecordedAction> {
        let elements: Vec<Value> = fields
            .iter()
            .enumerate()
            .map(|(at, (name, ..))| json!({"id": format!("e{at}"), "role": "textbox", "name": name}))
            .collect();
        let action = |(at, (_, text, secret, covered)): (usize, &(&str, &str, bool, bool))| RecordedAction {
            call: ToolCall {
                name: "type".to_owned(),
                args: json!({"target": format!("e{at}"), "text": text}).as_object().cloned().unwrap(),
            },
            state: json!({"elements": elements, "note": text}),
            secret: *secret,
            covered: *covered,
        };
        fields.iter().enumerate().map(action).collect()
    }

    fn made(said: &Said<'_>, actions: &[RecordedAction]) -> Generalised {
        generalise(said, actions, &spec()).unwrap()
    }

    const SAID: Said<'static> = Said { skill: "log_in", named: &[], declared: &[], only_secret: None };

    #[test]
    fn secrets_become_variables_and_nothing_of_them_stays() {
        let actions = typed_into(&[
            ("User name", "ada", false, false),
            ("Password", "lovelace", true, true),
            ("Password", "lovelace-2", true, true),
            ("Card", "4111", true, false),
        ]);
        let made = made(&SAID, &actions);
        let names: Vec<&String> = made.secrets.keys().collect();
        assert_eq!(names, ["LOG_IN_CARD", "LOG_IN_PASSWORD", "LOG_IN_PASSWORD_2"]);
        // A field that shows what is typed into it must be named in the agent file; one for passwords need not.
        assert_eq!(made.secrets["LOG_IN_CARD"].fields, ["Card"]);
        assert!(made.secrets["LOG_IN_PASSWORD_2"].fields.is_empty());
        let kept = format!("{:?} {:?}", made.recording, made.secrets);
        assert!(!kept.contains("lovelace") && !kept.contains("4111") && !kept.contains("-2"), "{kept}");
        let defaults: Vec<_> = made.recording.parameters.iter().map(|one| one.default.clone()).collect();
        assert_eq!(defaults[0], None);
        assert_eq!(defaults[2], Some("${LOG_IN_PASSWORD_2}".into()));
    }

    #[test]
    fn a_short_secret_does_not_change_the_words_of_the_page() {
        let actions = typed_into(&[("Day 1", "x", false, false), ("Pin", "1", true, true)]);
        let made = made(&SAID, &actions);
        let labels: Vec<&str> =
            made.recording.steps[0].state.elements.iter().map(|one| one.label.as_str()).collect();
        assert_eq!(labels, ["Day 1", "Pin"]);
        assert_eq!(made.recording.arguments["pin"], json!("${LOG_IN_PIN}"));
    }

    #[test]
    fn parameters_are_named_by_their_fields_or_by_the_person() {
        let named = [("who".to_owned(), "ada".to_owned())];
        let actions = typed_into(&[
            ("User name", "ada", false, false),
            ("Again", "ada", false, false),
            ("click", "x", false, false),
            ("", "y", false, false),
            ("element1", "z", false, false),
        ]);
        let made = made(&Said { named: &named, ..SAID }, &actions);
        let names: Vec<&str> = made.recording.parameters.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["who", "click_value", "text", "element1_value"]);
    }
}
