//! Rust functions as tools. The attribute `#[tool]` expands to this.

use crate::{CallContext, Content, Effects, ResultKind, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::pin::Pin;

type OutcomeFuture = Pin<Box<dyn Future<Output = ToolOutcome> + Send>>;
type Function = Box<dyn Fn(Map<String, Value>, CallContext) -> OutcomeFuture + Send + Sync>;

/// A tool backed by a function. `#[tool]` builds one from a documented function; [`new`](Self::new) builds
/// one by hand.
pub struct FunctionTool {
    spec: ToolSpec,
    call: Function,
}

/// Arguments of a function without parameters.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}

impl FunctionTool {
    /// A tool named `name` that calls `call`. Its input schema is derived from `A`.
    pub fn new<A, R, C, F>(name: &str, description: &str, effects: Effects, call: C) -> Self
    where
        A: DeserializeOwned + JsonSchema + Send + 'static,
        R: IntoOutcome + 'static,
        C: Fn(A, CallContext) -> F + Send + Sync + 'static,
        F: Future<Output = R> + Send + 'static,
    {
        let spec = ToolSpec { effects, returns: R::KIND, ..ToolSpec::new(name, description) };
        let call: Function =
            Box::new(move |arguments, context| match serde_json::from_value(Value::Object(arguments)) {
                Ok(arguments) => {
                    let answer = call(arguments, context);
                    Box::pin(async move { answer.await.into_outcome() })
                }
                Err(error) => Box::pin(async move { ToolOutcome::failed(format!("bad arguments: {error}")) }),
            });
        Self { spec: spec.with_input(schema::<A>()), call }
    }

    /// A tool with this description. `call` gets the arguments as the toolbox has validated them.
    pub(crate) fn with_spec<R, C, F>(spec: ToolSpec, call: C) -> Self
    where
        R: IntoOutcome + 'static,
        C: Fn(Map<String, Value>, CallContext) -> F + Send + Sync + 'static,
        F: Future<Output = R> + Send + 'static,
    {
        let call: Function = Box::new(move |arguments, context| {
            let answer = call(arguments, context);
            Box::pin(async move { answer.await.into_outcome() })
        });
        Self { spec, call }
    }

    /// Replaces the toolbox's time limit by `timeout_ms` milliseconds.
    #[must_use]
    pub fn with_timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.spec.timeout_ms = Some(timeout_ms);
        self
    }
}

/// The JSON Schema of `A`, self-contained and without title and description.
fn schema<A: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<A>().to_value();
    if let Some(fields) = schema.as_object_mut() {
        fields.shift_remove("title");
        fields.shift_remove("description");
        fields.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    }
    schema
}

#[async_trait]
impl Tool for FunctionTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, args: &Map<String, Value>, context: &CallContext) -> Result<ToolOutcome, ToolError> {
        Ok((self.call)(args.clone(), context.clone()).await)
    }
}

/// A value that a tool function may return.
pub trait IntoOutcome {
    /// Kind of the result, if the type determines it.
    const KIND: Option<ResultKind> = None;

    /// Converts the value into an outcome.
    fn into_outcome(self) -> ToolOutcome;
}

/// A structured result for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoOutcome for Json<T> {
    const KIND: Option<ResultKind> = Some(ResultKind::Json);

    fn into_outcome(self) -> ToolOutcome {
        match serde_json::to_value(self.0) {
            Ok(value) => ToolOutcome { value: Some(value), ..ToolOutcome::done("") },
            Err(error) => ToolOutcome::failed(format!("the result cannot be written as JSON: {error}")),
        }
    }
}

impl IntoOutcome for String {
    const KIND: Option<ResultKind> = Some(ResultKind::Text);

    fn into_outcome(self) -> ToolOutcome {
        Content::text(self).into_outcome()
    }
}

impl IntoOutcome for &str {
    const KIND: Option<ResultKind> = Some(ResultKind::Text);

    fn into_outcome(self) -> ToolOutcome {
        Content::text(self).into_outcome()
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> ToolOutcome {
        ToolOutcome::done("")
    }
}

impl IntoOutcome for Content {
    fn into_outcome(self) -> ToolOutcome {
        vec![self].into_outcome()
    }
}

impl IntoOutcome for Vec<Content> {
    fn into_outcome(self) -> ToolOutcome {
        ToolOutcome { content: self, ..ToolOutcome::done("") }
    }
}

impl IntoOutcome for ToolOutcome {
    fn into_outcome(self) -> ToolOutcome {
        self
    }
}

impl<T: IntoOutcome, E: Display> IntoOutcome for Result<T, E> {
    const KIND: Option<ResultKind> = T::KIND;

    fn into_outcome(self) -> ToolOutcome {
        self.map_or_else(|error| ToolOutcome::failed(error.to_string()), IntoOutcome::into_outcome)
    }
}
