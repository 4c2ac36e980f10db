//! Limits as a user configures them.

use crate::Limits;
use crate::limits::MAX_MEMORY_BYTES;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Changes to the limits, as a section of an agent file:
///
/// ```toml
/// [limits]                # of each call of a skill
/// fuel = 400_000_000
/// wall = "30s"
/// deterministic = true
///
/// [limits.reflex]         # of each tick of a reflex
/// fuel = 5_000_000
/// ```
///
/// The keys are the fields of [`Limits`]; omitted keys keep their values. Unknown keys and impossible values are
/// rejected when the file is read.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct LimitSettings {
    #[serde(flatten)]
    skill: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    reflex: Map<String, Value>,
}

/// Why limits are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// A key is unknown, or its value has the wrong type.
    #[error("{reason}")]
    Unreadable {
        /// The key and the expected value.
        reason: String,
    },
    /// A value is out of range.
    #[error("`{key}` cannot be {value}: {why}")]
    Impossible {
        /// Field of [`Limits`].
        key: &'static str,
        /// Requested value.
        value: u64,
        /// Why it is impossible.
        why: String,
    },
}

impl LimitSettings {
    /// Limits of a skill's call: the settings applied to `base`.
    ///
    /// # Errors
    /// The settings are inconsistent with `base`.
    pub fn skill(&self, base: &Limits) -> Result<Limits, LimitsError> {
        changed(base, &self.skill)
    }

    /// Limits of a reflex's tick: the settings applied to [`Limits::reflex`].
    ///
    /// # Errors
    /// None if the settings were deserialised, because that validates them.
    pub fn reflex(&self) -> Result<Limits, LimitsError> {
        changed(&Limits::reflex(), &self.reflex)
    }
}

impl<'de> Deserialize<'de> for LimitSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut skill = Map::deserialize(deserializer)?;
        let reflex = match skill.remove("reflex") {
            None => Map::new(),
            Some(Value::Object(reflex)) => reflex,
            Some(_) => return Err(D::Error::custom("`reflex` is a table of limits")),
        };
        let settings = Self { skill, reflex };
        settings.skill(&Limits::default()).map_err(D::Error::custom)?;
        settings.reflex().map_err(|error| D::Error::custom(format!("reflex: {error}")))?;
        Ok(settings)
    }
}

impl schemars::JsonSchema for LimitSettings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LimitSettings".into()
    }

    /// The keys of [`Limits`], and `reflex` with the same keys.
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = Limits::json_schema(generator);
        let reflex = generator.subschema_for::<Limits>().to_value();
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.insert("reflex".to_owned(), reflex);
        }
        schema.insert(
            "description".to_owned(),
            "Limits of every call of a skill; `reflex` has those of every tick of a reflex.".into(),
        );
        schema
    }
}

impl Limits {
    /// Validates the limits.
    ///
    /// # Errors
    /// A value is out of range.
    pub fn check(&self) -> Result<(), LimitsError> {
        let impossible = |key, value, why: String| Err(LimitsError::Impossible { key, value, why });
        if self.memory_bytes > MAX_MEMORY_BYTES {
            return impossible(
                "memory_bytes",
                self.memory_bytes,
                format!("the maximum is {MAX_MEMORY_BYTES}"),
            );
        }
        if self.js_heap_bytes > self.memory_bytes {
            let why = format!("it must fit into the memory of {} bytes", self.memory_bytes);
            return impossible("js_heap_bytes", self.js_heap_bytes, why);
        }
        if self.depth == 0 {
            return impossible("depth", 0, "the outermost call counts as one".to_owned());
        }
        Ok(())
    }
}

fn changed(base: &Limits, given: &Map<String, Value>) -> Result<Limits, LimitsError> {
    let unreadable = |error: serde_json::Error| LimitsError::Unreadable { reason: error.to_string() };
    let mut all = serde_json::to_value(base).map_err(unreadable)?;
    if let Some(all) = all.as_object_mut() {
        all.extend(given.clone());
        // A smaller memory limits the heap as well, unless the heap is configured.
        if let Some(memory) = given.get("memory_bytes").and_then(Value::as_u64)
            && !given.contains_key("js_heap_bytes")
        {
            all.insert("js_heap_bytes".to_owned(), base.js_heap_bytes.min(memory).into());
        }
    }
    let limits: Limits = serde_json::from_value(all).map_err(unreadable)?;
    limits.check()?;
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn read(value: Value) -> Result<LimitSettings, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn unset_limits_keep_their_values() {
        let settings = read(json!({"fuel": 5, "wall": "30s", "reflex": {"fuel": 7, "depth": 2}})).unwrap();
        let base = Limits { host_calls: 2000, ..Limits::default() };
        let expected = Limits { fuel: 5, wall: Duration::from_secs(30), ..base.clone() };
        assert_eq!(settings.skill(&base), Ok(expected));
        assert_eq!(settings.reflex(), Ok(Limits { fuel: 7, depth: 2, ..Limits::reflex() }));
        assert_eq!(read(json!({})).unwrap().skill(&base), Ok(base));
        let again = serde_json::to_value(&settings).unwrap();
        assert_eq!(read(again).unwrap(), settings);
        let small = read(json!({"memory_bytes": 8 << 20})).unwrap().skill(&Limits::default()).unwrap();
        assert_eq!(small.js_heap_bytes, 8 << 20);
    }

    #[test]
    fn invalid_limits_are_rejected() {
        for (written, says) in [
            (json!({"fule": 5}), "unknown field `fule`, expected one of `wall`, `fuel`"),
            (json!({"reflex": {"fule": 5}}), "reflex: unknown field `fule`"),
            (json!({"reflex": 5}), "`reflex` is a table of limits"),
            (json!({"fuel": "much"}), "expected u64"),
            (json!({"fuel": -1}), "expected u64"),
            (
                json!({"memory_bytes": 1 << 30}),
                "`memory_bytes` cannot be 1073741824: the maximum is 67108864",
            ),
            (json!({"memory_bytes": 1, "js_heap_bytes": 2}), "`js_heap_bytes` cannot be 2"),
            (json!({"depth": 0}), "`depth` cannot be 0"),
        ] {
            let error = read(written.clone()).unwrap_err();
            assert!(error.contains(says), "{written}: {error}");
        }
    }
}
