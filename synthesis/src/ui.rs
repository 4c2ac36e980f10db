//! The typed view of an environment's state: the goal in words, and the elements that can be acted on.
//!
//! A state enters the crate here, once. Everything after this border works with [`UiState`] and [`UiElement`]; the names of the
//! JSON fields stay in the [`ExplorationSpec`] that the environment declares.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sojourn_primitives::JsonPointer;
use sojourn_tools::{EnvironmentSpec, ExplorationSpec};
use std::fmt;

/// The id of an element, unique within one state. Tools accept it as an argument.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ElementId(String);

impl ElementId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an argument of a call or a value from the sandbox is this id.
    pub fn is(&self, value: &Value) -> bool {
        value.as_str() == Some(self.as_str())
    }
}

impl From<&str> for ElementId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl From<&ElementId> for Value {
    fn from(id: &ElementId) -> Self {
        Self::from(id.as_str())
    }
}

impl fmt::Display for ElementId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What an explorer sees of one state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UiState {
    /// The goal of the episode in words; empty where the environment states none.
    pub goal: String,
    /// The elements, in the order of the state.
    pub elements: Vec<UiElement>,
    /// Entries of the list that were left out, because they are no elements.
    #[serde(default, skip_serializing_if = "LeftOut::is_nothing")]
    pub left_out: LeftOut,
}

/// Entries in the list of elements that lack a text which every element must have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeftOut {
    /// The number of such entries.
    pub count: usize,
    /// The position of the first one in the list, from 0.
    pub first: usize,
    /// The field in which the first one has no text.
    pub field: String,
}

impl LeftOut {
    fn is_nothing(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, index: usize, field: &str) {
        if self.is_nothing() {
            (self.first, self.field) = (index, field.to_owned());
        }
        self.count += 1;
    }
}

/// Something that can be acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UiElement {
    /// The argument that tools accept for it.
    pub id: ElementId,
    /// Its kind, from the field that [`ExplorationSpec::kind`] names.
    pub kind: String,
    /// Its visible words, from the field that [`ExplorationSpec::label`] names; may be empty.
    pub label: String,
    /// Whether the environment refuses to act on it at present.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// Whether it is out of view.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// The groups that it belongs to; a group with a negative number is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Its other fields that are a text or a list of texts, in the order of the state. Fields of other types are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// Membership in a group: elements with the same number in the same field belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// One of [`ExplorationSpec::groups`].
    pub field: String,
    /// Zero or more.
    pub number: u64,
}

/// A further field of an element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The name of the field in the state.
    pub name: String,
    /// Its content.
    pub value: FieldValue,
}

/// The content of a [`Field`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FieldValue {
    /// One text.
    Text(String),
    /// A list of texts, such as the options of a choice.
    Texts(Vec<String>),
}

/// Why a state is not what the environment's [`ExplorationSpec`] declares.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UiStateError {
    /// The environment declares no exploration.
    #[error("environment `{environment}` declares no exploration; set `exploration` in its spec")]
    NotDeclared {
        /// The environment's name.
        environment: String,
    },
    /// The pointer to the elements leads to no list.
    #[error(
        "the state has no list at `{pointer}`, which the environment's exploration spec names as `elements`"
    )]
    NoElements {
        /// The pointer.
        pointer: JsonPointer,
    },
}

impl UiState {
    /// Reads a state as `environment` declares it.
    ///
    /// An entry of the list without a text as id, kind or label is left out and counted.
    ///
    /// # Errors
    /// When the environment declares no exploration, or the state has no list of elements.
    pub fn read(environment: &EnvironmentSpec, state: &Value) -> Result<Self, UiStateError> {
        let Some(spec) = &environment.exploration else {
            return Err(UiStateError::NotDeclared { environment: environment.name.clone() });
        };
        let goal = environment.question.as_ref().and_then(|question| question.path.find(state));
        let Some(elements) = spec.elements.find(state).and_then(Value::as_array) else {
            return Err(UiStateError::NoElements { pointer: spec.elements.clone() });
        };
        let goal = goal.and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut read = Self { goal, ..Self::default() };
        for (index, element) in elements.iter().enumerate() {
            match UiElement::read(spec, element) {
                Ok(element) => read.elements.push(element),
                Err(field) => read.left_out.add(index, field),
            }
        }
        Ok(read)
    }

    /// The element with this id.
    pub fn element(&self, id: &Value) -> Option<&UiElement> {
        self.elements.iter().find(|element| element.id.is(id))
    }

    /// The position of the element with this id.
    pub(crate) fn position(&self, id: &Value) -> Option<usize> {
        self.elements.iter().position(|element| element.id.is(id))
    }

    /// The elements as JSON with the names that the environment gives their fields, as expressions of programs read them.
    pub(crate) fn elements_json(&self, spec: &ExplorationSpec) -> Value {
        self.elements.iter().map(|element| element.json(spec)).collect()
    }
}

impl UiElement {
    /// Reads one element; the error is the name of the field that lacks a text.
    fn read<'a>(spec: &'a ExplorationSpec, element: &Value) -> Result<Self, &'a str> {
        let required = |field: &'a str| element.get(field).and_then(Value::as_str).ok_or(field);
        let flag = |field: &str| element.get(field) == Some(&Value::Bool(true));
        let known = |name: &str| name == "id" || name == spec.kind || name == spec.label;
        let group = |field: &String| {
            let number = element.get(field)?.as_u64()?;
            Some(Group { field: field.clone(), number })
        };
        let field = |(name, value): (&String, &Value)| {
            let value = match value {
                Value::String(text) => FieldValue::Text(text.clone()),
                Value::Array(items) => {
                    let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                    FieldValue::Texts(texts.collect::<Option<_>>()?)
                }
                _ => return None,
            };
            Some(Field { name: name.clone(), value })
        };
        Ok(Self {
            id: ElementId::from(required("id")?),
            kind: required(&spec.kind)?.to_owned(),
            label: required(&spec.label)?.to_owned(),
            disabled: flag("disabled"),
            hidden: flag("hidden"),
            groups: spec.groups.iter().filter_map(group).collect(),
            fields: element
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| !known(name))
                .filter_map(field)
                .collect(),
        })
    }

    /// The number of its group in this field.
    pub fn group(&self, field: &str) -> Option<u64> {
        self.groups.iter().find(|group| group.field == field).map(|group| group.number)
    }

    /// Its texts with the names of their fields: the label, then the others in the order of the state.
    pub(crate) fn texts<'a>(&'a self, spec: &'a ExplorationSpec) -> impl Iterator<Item = (&'a str, &'a str)> {
        let fields = self.fields.iter().filter_map(|field| match &field.value {
            FieldValue::Text(text) => Some((field.name.as_str(), text.as_str())),
            FieldValue::Texts(_) => None,
        });
        std::iter::once((spec.label.as_str(), self.label.as_str())).chain(fields)
    }

    /// The text in this field.
    pub(crate) fn text<'a>(&'a self, spec: &'a ExplorationSpec, field: &str) -> Option<&'a str> {
        self.texts(spec).find(|(name, _)| *name == field).map(|(_, text)| text)
    }

    /// Its lists of texts with the names of their fields.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.fields.iter().filter_map(|field| match &field.value {
            FieldValue::Texts(texts) => Some((field.name.as_str(), texts.as_slice())),
            FieldValue::Text(_) => None,
        })
    }

    /// The list of texts in this field.
    pub(crate) fn list(&self, field: &str) -> Option<&[String]> {
        self.lists().find(|(name, _)| *name == field).map(|(_, texts)| texts)
    }

    fn json(&self, spec: &ExplorationSpec) -> Value {
        let mut json = Map::new();
        json.insert("id".to_owned(), Value::from(&self.id));
        json.insert(spec.kind.clone(), self.kind.as_str().into());
        json.insert(spec.label.clone(), self.label.as_str().into());
        for field in &spec.groups {
            json.insert(field.clone(), self.group(field).map_or(Value::from(-1), Value::from));
        }
        for field in &self.fields {
            let value = match &field.value {
                FieldValue::Text(text) => Value::from(text.as_str()),
                FieldValue::Texts(texts) => Value::from(texts.as_slice()),
            };
            json.insert(field.name.clone(), value);
        }
        Value::Object(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::desk;
    use serde_json::json;

    #[test]
    fn a_state_is_read_as_the_environment_declares_it() {
        let state = json!({"wish": "Push.", "desk": {"things": [
            {"id": "a", "kind": "knob", "words": "mode", "row": 2, "to": ["low", "high"], "color": "red", "x": 7, "hidden": true},
            {"id": "b", "kind": "lever", "words": "", "row": -1, "disabled": true, "to": [1]},
        ]}});
        let read = UiState::read(&desk(), &state).unwrap();
        assert_eq!(read.goal, "Push.");
        let [knob, lever] = read.elements.as_slice() else { panic!("{read:?}") };
        assert_eq!((knob.group("row"), lever.group("row")), (Some(2), None));
        assert_eq!((knob.hidden, knob.disabled, lever.hidden, lever.disabled), (true, false, false, true));
        assert_eq!(knob.list("to"), Some(&["low".to_owned(), "high".to_owned()][..]));
        assert_eq!(lever.fields, [], "a list of numbers is no list of texts");
        let spec = desk().exploration.unwrap();
        assert_eq!(knob.texts(&spec).collect::<Vec<_>>(), [("words", "mode"), ("color", "red")]);
        assert_eq!(
            read.elements_json(&spec)[0],
            json!({"id": "a", "kind": "knob", "words": "mode", "row": 2, "to": ["low", "high"], "color": "red"})
        );
        assert_eq!(serde_json::from_value::<UiState>(json!(read)).unwrap(), read);
    }

    #[test]
    fn a_malformed_element_is_left_out_and_counted() {
        let things = json!([{"id": "a", "kind": "x", "words": ""}, {"id": 7, "kind": "x", "words": ""}, "x", null, {"id": "b", "kind": "x"}]);
        let read = UiState::read(&desk(), &json!({"desk": {"things": things}})).unwrap();
        assert_eq!(read.elements.iter().map(|element| element.id.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(read.left_out, LeftOut { count: 4, first: 1, field: "id".to_owned() });
        assert_eq!(serde_json::from_value::<UiState>(json!(read)).unwrap(), read);
        // Earlier logs have no such field.
        let earlier: UiState = serde_json::from_value(json!({"goal": "", "elements": []})).unwrap();
        assert_eq!((earlier.left_out.count, json!(earlier).get("left_out")), (0, None));
    }

    #[test]
    fn a_state_that_breaks_the_declaration_is_refused_with_its_place() {
        let read = |state: Value| UiState::read(&desk(), &state).unwrap_err().to_string();
        assert_eq!(
            read(json!({"desk": 1})),
            "the state has no list at `/desk/things`, which the environment's exploration spec names as `elements`"
        );
        let mut spec = desk();
        spec.exploration = None;
        let error = UiState::read(&spec, &json!({})).unwrap_err().to_string();
        assert_eq!(error, "environment `desk` declares no exploration; set `exploration` in its spec");
    }
}
