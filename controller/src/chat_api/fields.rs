//! The fields of a JSON object, taken one by one, so that what is left is what the server does not know.

use super::ApiError;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// The fields of an object that were not taken yet. A field with the value `null` counts as absent.
pub(super) struct Fields {
    fields: Map<String, Value>,
    /// Where the object stands in the body, with a full stop at its end: `messages[2].`; empty for the body.
    place: String,
}

impl Fields {
    /// The fields of the object that stands at `place`.
    pub(super) fn of(value: Value, place: &str) -> Result<Self, ApiError> {
        match value {
            Value::Object(fields) if place.is_empty() => Ok(Self { fields, place: String::new() }),
            Value::Object(fields) => Ok(Self { fields, place: format!("{place}.") }),
            _ if place.is_empty() => Err(ApiError::new(400, None, "the body must be a JSON object")),
            _ => Err(ApiError::invalid(place, "must be an object")),
        }
    }

    /// The place of a field in the body.
    pub(super) fn place(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    /// The error of a field whose value is wrong.
    pub(super) fn invalid(&self, name: &str, fault: &str) -> ApiError {
        ApiError::invalid(self.place(name), fault)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.shift_remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(name, "must be a string")),
        }
    }

    pub(super) fn needed_text(&mut self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| self.invalid(name, "is missing"))
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.invalid(name, "must be true or false")),
        }
    }

    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let fault = format!("must be a number from {} to {}", range.start(), range.end());
            self.invalid(name, &fault)
        })
    }

    pub(super) fn integer(
        &mut self,
        name: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            let fault = format!("must be an integer from {} to {}", range.start(), range.end());
            self.invalid(name, &fault)
        })
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.invalid(name, "must be a list")),
        }
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        let place = self.place(name);
        self.take(name).map(|value| Self::of(value, &place)).transpose()
    }

    /// Drops fields that cannot change an answer.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.fields.shift_remove(*name);
        }
    }

    /// Refuses a field unless its value is one of `neutral`, which all mean "off".
    pub(super) fn refuse(&mut self, name: &str, neutral: &[Value], why: &str) -> Result<(), ApiError> {
        match self.take(name) {
            Some(value) if !neutral.contains(&value) => Err(ApiError::unsupported(self.place(name), why)),
            _ => Ok(()),
        }
    }

    /// Refuses all fields that were not taken.
    pub(super) fn end(self) -> Result<(), ApiError> {
        match self.fields.iter().find(|(_, value)| !value.is_null()) {
            Some((name, _)) => {
                let name: String = name.chars().take(100).collect();
                Err(ApiError::unsupported(self.place(&name), "it does not know this parameter"))
            }
            None => Ok(()),
        }
    }
}
