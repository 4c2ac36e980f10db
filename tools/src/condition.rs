use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sojourn_primitives::JsonPointer;
use std::fmt;

/// A predicate over the states before and after a skill ran.
///
/// The runtime decides success with conditions, without asking a model. Paths are JSON pointers (RFC 6901)
/// into the state of an observation, such as `/inventory/wood`; a missing value counts as 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The number at `path` grew by at least `by`, or reached `cap`.
    Increased {
        /// Location of the number.
        path: JsonPointer,
        /// Required increase.
        by: Amount,
        /// Largest value the environment allows. Reaching it counts as success.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cap: Option<f64>,
    },
    /// After the call, the number at `path` is at least `value`.
    AtLeast {
        /// Location of the number.
        path: JsonPointer,
        /// Required minimum.
        value: Amount,
    },
    /// After the call, the value at `path` equals `value`.
    Equals {
        /// Location of the value.
        path: JsonPointer,
        /// Required value.
        value: Value,
    },
    /// After the call, the list at `path` contains `value`.
    Contains {
        /// Location of the list.
        path: JsonPointer,
        /// Required member.
        value: Value,
    },
    /// Every inner condition holds.
    All(Vec<Condition>),
    /// At least one inner condition holds.
    Any(Vec<Condition>),
    /// The inner condition does not hold.
    Not(Box<Condition>),
}

/// A number: a literal, or the value of a numeric argument of the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", from = "AmountForm")]
pub enum Amount {
    /// A constant.
    Literal(f64),
    /// The value of the argument with this name.
    Param(String),
}

/// The accepted spellings of an amount, including a bare number.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum AmountForm {
    Number(f64),
    Literal { literal: f64 },
    Param { param: String },
}

impl From<AmountForm> for Amount {
    fn from(form: AmountForm) -> Self {
        match form {
            AmountForm::Number(value) | AmountForm::Literal { literal: value } => Self::Literal(value),
            AmountForm::Param { param } => Self::Param(param),
        }
    }
}

/// Why a condition could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// An amount names an argument that the call did not have, or that is not a number.
    #[error("the condition needs the numeric argument `{name}`")]
    MissingArgument {
        /// Name of the argument.
        name: String,
    },
}

impl Amount {
    fn resolve(&self, args: &Map<String, Value>) -> Result<f64, ConditionError> {
        match self {
            Self::Literal(value) => Ok(*value),
            Self::Param(name) => args
                .get(name)
                .and_then(Value::as_f64)
                .ok_or_else(|| ConditionError::MissingArgument { name: name.clone() }),
        }
    }
}

impl Condition {
    /// Evaluates the condition for a call with `args` that led from the state `before` to the state `after`.
    ///
    /// # Errors
    /// An amount names an argument that `args` lacks.
    pub fn holds(
        &self,
        before: &Value,
        after: &Value,
        args: &Map<String, Value>,
    ) -> Result<bool, ConditionError> {
        Ok(match self {
            Self::Increased { path, by, cap } => {
                let (was, is) = (number(before, path), number(after, path));
                let target = was + by.resolve(args)?;
                is >= cap.map_or(target, |cap| target.min(cap))
                    && (is > was || cap.is_some_and(|cap| was >= cap))
            }
            Self::AtLeast { path, value } => number(after, path) >= value.resolve(args)?,
            Self::Equals { path, value } => path.find(after) == Some(value),
            Self::Contains { path, value } => {
                path.find(after).and_then(Value::as_array).is_some_and(|list| list.contains(value))
            }
            Self::All(parts) => {
                for part in parts {
                    if !part.holds(before, after, args)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Any(parts) => {
                for part in parts {
                    if part.holds(before, after, args)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Not(inner) => !inner.holds(before, after, args)?,
        })
    }

    /// The JSON pointers that the condition reads, in order of appearance.
    pub fn paths(&self) -> Vec<&JsonPointer> {
        match self {
            Self::Increased { path, .. }
            | Self::AtLeast { path, .. }
            | Self::Equals { path, .. }
            | Self::Contains { path, .. } => vec![path],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::paths).collect(),
            Self::Not(inner) => inner.paths(),
        }
    }
}

/// The condition as a clause: `/inventory/wood rises by 1 and /door is "open"`.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str, empty: &str| {
            if parts.is_empty() {
                return f.write_str(empty);
            }
            for (at, part) in parts.iter().enumerate() {
                let before = if at == 0 { "" } else { word };
                // Which parts belong together is said where it could be read otherwise.
                match part {
                    Self::All(inner) | Self::Any(inner) if inner.len() > 1 && parts.len() > 1 => {
                        write!(f, "{before}({part})")?;
                    }
                    _ => write!(f, "{before}{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Increased { path, by, cap: None } => write!(f, "{path} rises by {by}"),
            Self::Increased { path, by, cap: Some(cap) } => {
                write!(f, "{path} rises by {by} or reaches {cap}")
            }
            Self::AtLeast { path, value } => write!(f, "{path} is at least {value}"),
            Self::Equals { path, value } => write!(f, "{path} is {value}"),
            Self::Contains { path, value } => write!(f, "{path} contains {value}"),
            Self::All(parts) => joined(f, parts, " and ", "always"),
            Self::Any(parts) => joined(f, parts, " or ", "never"),
            Self::Not(inner) => write!(f, "not ({inner})"),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => write!(f, "{value}"),
            Self::Param(name) => f.write_str(name),
        }
    }
}

fn number(state: &Value, path: &JsonPointer) -> f64 {
    match path.find(state) {
        Some(Value::Bool(true)) => 1.0,
        Some(value) => value.as_f64().unwrap_or(0.0),
        None => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn gained_wood() -> Condition {
        Condition::Increased {
            path: JsonPointer::of(["inventory", "wood"]),
            by: Amount::Param("n".into()),
            cap: Some(9.0),
        }
    }

    #[test]
    fn increase_is_relative_and_stops_at_the_cap() {
        let args = |n: u32| json!({"n": n}).as_object().unwrap().clone();
        let wood = |n: u32| json!({"inventory": {"wood": n}});
        for (before, after, n, expected) in
            [(1, 3, 2, true), (1, 2, 2, false), (8, 9, 3, true), (9, 9, 1, true), (0, 0, 1, false)]
        {
            let holds = gained_wood().holds(&wood(before), &wood(after), &args(n));
            assert_eq!(holds, Ok(expected), "{before} -> {after}, n = {n}");
        }
    }

    #[test]
    fn a_missing_argument_is_an_error_not_a_failure() {
        let result = gained_wood().holds(&json!({}), &json!({}), &Map::new());
        assert_eq!(result, Err(ConditionError::MissingArgument { name: "n".into() }));
    }

    #[test]
    fn a_path_that_is_no_json_pointer_is_refused_instead_of_never_holding() {
        let refused =
            serde_json::from_value::<Condition>(json!({"at_least": {"path": "health", "value": 1}}));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "`health` is not a JSON pointer: it must begin with `/`"
        );
        let kept = json!({"equals": {"path": "/a~1b", "value": true}});
        assert_eq!(json!(serde_json::from_value::<Condition>(kept.clone()).unwrap()), kept);
    }

    #[test]
    fn a_list_contains_a_value_or_is_no_list() {
        let held = Condition::Contains { path: JsonPointer::of(["held"]), value: json!("key") };
        for (state, expected) in [
            (json!({"held": ["lamp", "key"]}), true),
            (json!({"held": ["keys"]}), false),
            (json!({"held": "key"}), false),
            (json!({}), false),
        ] {
            assert_eq!(held.holds(&json!({}), &state, &Map::new()), Ok(expected), "{state}");
        }
    }

    #[test]
    fn a_condition_reads_as_a_clause() {
        let open = Condition::Equals { path: JsonPointer::of(["door"]), value: json!("open") };
        let rich = Condition::AtLeast { path: JsonPointer::of(["coins"]), value: Amount::Literal(3.0) };
        let held = Condition::Contains { path: JsonPointer::of(["held"]), value: json!("key") };
        let all = Condition::All(vec![
            gained_wood(),
            Condition::Any(vec![open, rich]),
            Condition::Not(Box::new(held)),
        ]);
        assert_eq!(
            all.to_string(),
            "/inventory/wood rises by n or reaches 9 and (/door is \"open\" or /coins is at least 3) and not (/held contains \"key\")"
        );
    }

    #[test]
    fn missing_values_count_as_zero() {
        let holds = gained_wood().holds(
            &json!({}),
            &json!({"inventory": {"wood": 1}}),
            &json!({"n": 1}).as_object().unwrap().clone(),
        );
        assert_eq!(holds, Ok(true));
    }
}
