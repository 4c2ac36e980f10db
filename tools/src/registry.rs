use crate::spec::{arguments_schema, with_defaults};
use crate::{Grants, Tool, ToolCall, ToolError, ToolOutcome, ToolSpec};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tools of one agent. Every call passes through it, and is checked here and nowhere else.
#[derive(Default, Clone)]
pub struct Registry {
    tools: BTreeMap<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    tool: Arc<dyn Tool>,
    validator: Arc<jsonschema::Validator>,
}

/// Why a call was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such tool; the nearest name is offered.
    #[error("no tool named `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// The name that was called.
        name: String,
        /// The most similar name there is.
        nearest: Option<String>,
    },
    /// The caller was not granted it.
    #[error("`{name}` is not granted to this caller")]
    NotGranted {
        /// The tool.
        name: String,
    },
    /// The arguments do not fit the schema.
    #[error("bad arguments for `{name}`: {reason}")]
    BadArguments {
        /// The tool.
        name: String,
        /// The first thing that does not fit.
        reason: String,
    },
    /// Its declared schema is not a JSON Schema.
    #[error("the schema of `{name}` is not a JSON Schema: {reason}")]
    BadSchema {
        /// The tool.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tool of that name is there already.
    #[error("a tool named `{name}` is already registered")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The tool broke.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl Registry {
    /// Adds a tool.
    ///
    /// # Errors
    /// When the name is taken or the schema is not one.
    pub fn register(&mut self, tool: Arc<dyn Tool>) -> Result<(), Refusal> {
        let name = tool.spec().name.clone();
        if self.tools.contains_key(&name) {
            return Err(Refusal::Duplicate { name });
        }
        let validator = jsonschema::validator_for(&arguments_schema(&tool.spec().parameters))
            .map_err(|error| Refusal::BadSchema { name: name.clone(), reason: error.to_string() })?;
        self.tools.insert(name, Entry { tool, validator: Arc::new(validator) });
        Ok(())
    }

    /// The specs of all tools, by name.
    pub fn specs(&self) -> impl Iterator<Item = &ToolSpec> {
        self.tools.values().map(|entry| entry.tool.spec())
    }

    /// Carries out `call` for a caller with `grants`, after filling in defaults and validating.
    ///
    /// # Errors
    /// When the tool is unknown, not granted, given bad arguments, or broke.
    pub async fn call(&self, grants: &Grants, call: &ToolCall) -> Result<ToolOutcome, Refusal> {
        let Some(entry) = self.tools.get(&call.name) else {
            let nearest = nearest(&call.name, self.tools.keys().map(String::as_str));
            return Err(Refusal::Unknown { name: call.name.clone(), nearest });
        };
        if !grants.allow(&call.name) {
            return Err(Refusal::NotGranted { name: call.name.clone() });
        }
        let args: Map<String, Value> = with_defaults(&entry.tool.spec().parameters, call.args.clone());
        let value = Value::Object(args);
        if let Err(error) = entry.validator.validate(&value) {
            return Err(Refusal::BadArguments { name: call.name.clone(), reason: error.to_string() });
        }
        let Value::Object(args) = value else { unreachable!("built as an object above") };
        Ok(entry.tool.call(&args).await?)
    }
}

/// The name among `names` most like `name`, if any is close enough to be a slip of the pen.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effects, Parameter, ParameterKind};
    use async_trait::async_trait;
    use serde_json::json;

    struct Add(ToolSpec);

    #[async_trait]
    impl Tool for Add {
        fn spec(&self) -> &ToolSpec {
            &self.0
        }
        async fn call(&self, args: &Map<String, Value>) -> Result<ToolOutcome, ToolError> {
            let sum = args.values().filter_map(Value::as_i64).sum::<i64>();
            Ok(ToolOutcome { value: Some(sum.into()), ..ToolOutcome::done("added") })
        }
    }

    fn registry() -> Registry {
        let integer = |name: &str, default: Option<Value>| Parameter {
            name: name.into(),
            kind: ParameterKind::Integer { min: 0, max: 9 },
            default,
        };
        let spec = ToolSpec {
            name: "add".into(),
            description: "adds".into(),
            parameters: vec![integer("a", None), integer("b", Some(json!(1)))],
            effects: Effects::default(),
        };
        let mut registry = Registry::default();
        registry.register(Arc::new(Add(spec))).unwrap();
        registry
    }

    fn call(name: &str, args: &Value) -> ToolCall {
        ToolCall { name: name.into(), args: args.as_object().unwrap().clone() }
    }

    #[tokio::test]
    async fn defaults_are_filled_in() {
        let outcome =
            registry().call(&["add"].into_iter().collect(), &call("add", &json!({"a": 2}))).await.unwrap();
        assert_eq!(outcome.value, Some(json!(3)));
    }

    #[tokio::test]
    async fn refusals_say_why() {
        let granted: Grants = ["add"].into_iter().collect();
        for (grants, call, expected) in [
            (&granted, call("ad", &json!({})), "no tool named `ad`; did you mean `add`?"),
            (&Grants::none(), call("add", &json!({"a": 1})), "`add` is not granted to this caller"),
            (
                &granted,
                call("add", &json!({"a": 11})),
                "bad arguments for `add`: 11 is greater than the maximum of 9",
            ),
            (
                &granted,
                call("add", &json!({"a": 1, "z": 1})),
                "bad arguments for `add`: Additional properties are not allowed ('z' was unexpected)",
            ),
        ] {
            let error = registry().call(grants, &call).await.unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_name_is_registered_once() {
        let mut registry = registry();
        let again = Arc::clone(&registry.tools["add"].tool);
        assert!(matches!(registry.register(again), Err(Refusal::Duplicate { .. })));
    }
}
