use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sojourn_primitives::JsonPointer;

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
            Self::Increased { path, .. } | Self::AtLeast { path, .. } | Self::Equals { path, .. } => {
                vec![path]
            }
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::paths).collect(),
            Self::Not(inner) => inner.paths(),
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
    fn missing_values_count_as_zero() {
        let holds = gained_wood().holds(
            &json!({}),
            &json!({"inventory": {"wood": 1}}),
            &json!({"n": 1}).as_object().unwrap().clone(),
        );
        assert_eq!(holds, Ok(true));
    }
}
