//! The fields of a state, and the values that they had.

use serde::Serialize;
use serde_json::Value;
use sojourn_primitives::JsonPointer;
use std::collections::{BTreeMap, BTreeSet};

/// Fields of a world, at most.
const FIELDS: usize = 256;
/// Nesting that is read.
const DEEPEST: usize = 6;
/// Items of a list without texts that are read as fields; a longer list is a picture or a map.
const ITEMS: usize = 8;
/// Different values of a field that are kept.
const VALUES: usize = 16;
/// Characters of a text that is kept as a value; a longer one is prose.
const LONGEST: usize = 40;

/// A field of the state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StateField {
    /// Location in the state.
    pub path: JsonPointer,
    /// The values that were seen.
    #[serde(flatten)]
    pub kind: FieldKind,
}

/// The values of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FieldKind {
    /// Numbers between these.
    Number {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
    },
    /// Texts, truth values or `null`.
    Value {
        /// The different values, in the order in which they were seen.
        values: Vec<Value>,
        /// Whether there were more of them, or texts too long to list.
        more: bool,
    },
    /// A list of texts.
    List {
        /// The different members, in the order in which they were seen.
        members: Vec<String>,
        /// Whether there were more of them, or texts too long to list.
        more: bool,
    },
}

/// One state: its numbers, values and lists by location.
#[derive(Debug, Default)]
pub(super) struct Reading<'a> {
    pub numbers: BTreeMap<JsonPointer, f64>,
    pub values: BTreeMap<JsonPointer, &'a Value>,
    pub lists: BTreeMap<JsonPointer, BTreeSet<&'a str>>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(state: &'a Value) -> Self {
        let mut reading = Self::default();
        reading.read(&JsonPointer::default(), state, 0);
        reading
    }

    fn read(&mut self, path: &JsonPointer, value: &'a Value, depth: usize) {
        if depth > DEEPEST || self.numbers.len() + self.values.len() + self.lists.len() >= FIELDS {
            return;
        }
        match value {
            Value::Number(number) => {
                self.numbers.insert(path.clone(), number.as_f64().unwrap_or(0.0));
            }
            Value::Null | Value::Bool(_) | Value::String(_) => {
                self.values.insert(path.clone(), value);
            }
            Value::Array(items) if items.iter().all(Value::is_string) => {
                self.lists.insert(path.clone(), items.iter().filter_map(Value::as_str).collect());
            }
            Value::Array(items) if items.len() <= ITEMS => {
                for (at, item) in items.iter().enumerate() {
                    self.read(&path.join(&at.to_string()), item, depth + 1);
                }
            }
            Value::Array(_) => {}
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.read(&path.join(name), value, depth + 1);
                }
            }
        }
    }
}

/// All fields that were seen.
#[derive(Debug, Default)]
pub(super) struct Fields(BTreeMap<JsonPointer, FieldKind>);

impl Fields {
    /// Notes the values of a state.
    pub(super) fn note(&mut self, reading: &Reading<'_>) {
        for (path, number) in &reading.numbers {
            let kind = self.field(path, || FieldKind::Number { min: *number, max: *number });
            if let Some(FieldKind::Number { min, max }) = kind {
                (*min, *max) = (min.min(*number), max.max(*number));
            }
        }
        for (path, value) in &reading.values {
            let kind = self.field(path, || FieldKind::Value { values: Vec::new(), more: false });
            if let Some(FieldKind::Value { values, more }) = kind
                && !values.contains(value)
            {
                let is_prose = value.as_str().is_some_and(is_prose);
                if is_prose || values.len() >= VALUES {
                    *more = true;
                } else {
                    values.push((*value).clone());
                }
            }
        }
        for (path, list) in &reading.lists {
            let kind = self.field(path, || FieldKind::List { members: Vec::new(), more: false });
            if let Some(FieldKind::List { members, more }) = kind {
                for member in list {
                    if members.iter().any(|known| known == member) {
                        continue;
                    }
                    if is_prose(member) || members.len() >= VALUES {
                        *more = true;
                    } else {
                        members.push((*member).to_owned());
                    }
                }
            }
        }
    }

    fn field(&mut self, path: &JsonPointer, new: impl FnOnce() -> FieldKind) -> Option<&mut FieldKind> {
        if !self.0.contains_key(path) && self.0.len() >= FIELDS {
            return None;
        }
        Some(self.0.entry(path.clone()).or_insert_with(new))
    }

    pub(super) fn into_fields(self) -> Vec<StateField> {
        self.0.into_iter().map(|(path, kind)| StateField { path, kind }).collect()
    }
}

/// Whether a text is too long to be a value among others.
pub(super) fn is_prose(text: &str) -> bool {
    text.chars().nth(LONGEST).is_some() || text.contains('\n')
}
