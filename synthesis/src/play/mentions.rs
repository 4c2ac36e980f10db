//! What texts of a state name: "go to the yellow key" names the entry `yellow_key` of an object beside it. A program that asks for the
//! entry that is named serves whatever the text names.

use super::features::Scalar;
use crate::javascript::quote;
use serde_json::{Map, Value};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Texts of a state that may name something, objects whose entries they may name, and entries of one object, at most.
const TEXTS: usize = 4;
const OBJECTS: usize = 8;
const ENTRIES: usize = 64;
/// Nesting that is read.
const DEEPEST: usize = 4;
/// Letters of a text that are read.
const LONGEST: usize = 400;

/// The entry that a text names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// Where the object with the entries is.
    pub(super) things: Vec<String>,
    /// Where the text is.
    pub(super) text: Vec<String>,
}

impl Named {
    /// The entry's name, as an expression over the helper [`MENTIONED`](crate::javascript::MENTIONED).
    pub(super) fn javascript(&self) -> String {
        let list = |names: &[String]| names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
        format!("mentioned(at({}), at({}))", list(&self.things), list(&self.text))
    }

    /// What the value at a path is beside the entry, as an expression.
    pub(super) fn role(&self, names: &[String]) -> String {
        let list = |names: &[String]| names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
        let (value, things) = (list(names), list(&self.things));
        let is_entry = format!("Object.keys(at({things}) || {{}}).includes(at({value}))");
        format!(
            "(at({value}) === {} ? {} : {is_entry} ? {} : at({value}))",
            self.javascript(),
            quote(THIS),
            quote(ANOTHER)
        )
    }
}

/// What a feature has to do with the entry that a text names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mention {
    /// It is a value in the entry, whose name stands after the names of the object.
    Of(Named),
    /// It is that a value is the entry's name.
    Is(Named),
    /// It is a value, of which names of entries are told apart only by whether the text names them.
    Role(Named),
}

/// What a value is that names the entry that the text names, and one that names another entry.
const THIS: &str = "(named)";
const ANOTHER: &str = "(another)";

impl Mention {
    /// The entry.
    pub(super) fn named(&self) -> &Named {
        match self {
            Self::Of(named) | Self::Is(named) | Self::Role(named) => named,
        }
    }
}

/// The features of a state that depend on what its texts name: names of the path, what it has to do with the text, and the value.
/// `roles`: those of other texts too.
pub(super) fn read(state: &Value, roles: bool) -> Vec<(Vec<String>, Mention, Scalar)> {
    let mut found = Parts::default();
    found.collect(state, &mut Vec::new());
    let mut features = Vec::new();
    for (at, text) in
        found.texts.iter().filter(|(_, text)| text.split_whitespace().nth(1).is_some()).take(TEXTS)
    {
        let said = words(text);
        for (things, entries) in found.objects.iter().take(OBJECTS) {
            let Some(name) = mentioned(entries, &said) else { continue };
            let named = || Named { things: things.clone(), text: at.clone() };
            let inside = match &entries[name] {
                Value::Object(parts) => {
                    let scalar =
                        |(part, value): (&String, &Value)| Some((vec![part.clone()], Scalar::of(value)?));
                    parts.iter().filter_map(scalar).take(ENTRIES).collect()
                }
                value => Scalar::of(value).map(|value| (Vec::new(), value)).into_iter().collect::<Vec<_>>(),
            };
            let of = inside.into_iter().map(|(part, value)| ([things.clone(), part].concat(), value));
            features.extend(of.map(|(path, value)| (path, Mention::Of(named()), value)));
            let same = found.texts.iter().filter(|(path, text)| path != at && *text == name);
            features.extend(same.map(|(path, _)| (path.clone(), Mention::Is(named()), Scalar::Bool(true))));
            if roles {
                let others = found.texts.iter().filter(|(path, _)| path != at && !path.starts_with(things));
                features.extend(others.map(|(path, text)| {
                    let role = match *text {
                        text if text == name => THIS,
                        text if entries.contains_key(text) => ANOTHER,
                        text => text,
                    };
                    (path.clone(), Mention::Role(named()), Scalar::Text(role.to_owned()))
                }));
            }
        }
    }
    features
}

/// Texts and objects of a state, with the names on the way to them.
#[derive(Default)]
struct Parts<'a> {
    texts: Vec<(Vec<String>, &'a str)>,
    objects: Vec<(Vec<String>, &'a Map<String, Value>)>,
}

impl<'a> Parts<'a> {
    fn collect(&mut self, value: &'a Value, names: &mut Vec<String>) {
        match value {
            Value::String(text) if text.len() <= LONGEST => self.texts.push((names.clone(), text)),
            Value::Object(entries) if names.len() < DEEPEST && entries.len() <= ENTRIES => {
                if !names.is_empty() {
                    self.objects.push((names.clone(), entries));
                }
                for (name, value) in entries {
                    names.push(name.clone());
                    self.collect(value, names);
                    names.pop();
                }
            }
            _ => {}
        }
    }
}

/// The runs of letters and digits, in small letters.
fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// The entry of which most words were said; of several, one with a value, then the one with the fewest other words, then the first.
fn mentioned<'a>(entries: &'a Map<String, Value>, said: &BTreeSet<String>) -> Option<&'a str> {
    let rated = entries.iter().filter_map(|(name, value)| {
        let own = words(name);
        let count = own.intersection(said).count();
        (count > 0).then(|| (count, !value.is_null(), Reverse(own.len()), Reverse(name.as_str())))
    });
    rated.max().map(|(.., Reverse(name))| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_names_the_entry_of_which_most_is_said() {
        let named = |text: &str, entries: Value| {
            mentioned(entries.as_object().unwrap(), &words(text)).map(str::to_owned)
        };
        let things =
            || json!({"red_key": null, "yellow_ball": {"away": 1}, "yellow_key": null, "wall": {"away": 0}});
        assert_eq!(
            named("Go to the YELLOW key", things()).as_deref(),
            Some("yellow_key"),
            "although it is not seen"
        );
        assert_eq!(
            named("fetch something yellow", things()).as_deref(),
            Some("yellow_ball"),
            "which is seen"
        );
        assert_eq!(named("fetch a key", things()).as_deref(), Some("red_key"));
        assert_eq!(named("be quick", things()), None);
    }

    #[test]
    fn what_is_named_has_features_of_its_own() {
        let state = json!({"task": "go to the yellow key", "front": "yellow_key",
            "near": {"red_key": {"away": 4}, "yellow_key": {"away": 1}}});
        let read: Vec<_> = read(&state, false);
        let values: Vec<(Vec<String>, bool, Scalar)> = read
            .into_iter()
            .map(|(path, mention, value)| (path, matches!(mention, Mention::Is(_)), value))
            .collect();
        let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            values,
            [
                (path(&["near", "away"]), false, Scalar::Number(1.0)),
                (path(&["front"]), true, Scalar::Bool(true))
            ]
        );
    }
}
