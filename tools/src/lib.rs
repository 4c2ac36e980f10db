//! What a Sojourn agent perceives and acts through.
//!
//! An agent knows the world in two ways only. A [`Tool`] is one capability behind a JSON schema, with
//! declared [`Effects`]; a [`Toolbox`] holds those of all [`ToolSource`]s, checks every call and survives every tool; a
//! [`Policy`] says which calls may be made.
//! An [`Environment`] is a world with a state: it is reset with a seed, observed, and acted on one
//! [`Action`] at a time. Its capabilities reach the controller as tools too, but each of those *calls*
//! may take several actions, and between two actions the runtime looks at the observation and may let a
//! reflex act first. That is why an environment hands out actions one by one ([`Environment::advance`])
//! instead of running a call to its end.
//!
//! Everything that crosses these traits is plain, serialisable data, so that it can be logged and replayed.

mod allowed_hosts;
pub mod builtin;
mod condition;
mod content;
mod environment;
mod environment_registry;
mod exploration;
mod framing;
mod function;
mod grants;
mod gymnasium;
pub mod http;
pub mod mcp;
mod observation;
mod policy;
pub mod process;
pub mod python;
mod remote_environment;
pub mod schema;
mod source;
mod sources;
mod spec;
mod subprocess;
mod supervision;
mod tool;
mod toolbox;
pub mod wasm;

pub use condition::{Amount, Condition, ConditionError};
pub use content::Content;
pub use environment::{
    Action, Ending, EndingKind, Environment, EnvironmentError, EnvironmentSpec, EpisodePrefix, Progress,
    Question, Snapshot, SpecOnlyEnvironment, StepOutcome,
};
pub use environment_registry::{
    Availability, BuiltInReflex, DescribedEnvironment, EnvironmentProvider, EnvironmentRegistry,
    EnvironmentUnavailable,
};
pub use exploration::{ActionTemplate, ArgumentSource, ExplorationSpec};
pub use function::{FunctionTool, IntoOutcome, Json, NoArguments};
pub use grants::Grants;
pub use gymnasium::Gymnasium;
pub use observation::Observation;
pub use policy::{Decision, EffectKind, Policy, PolicyError, PolicyFile, PolicyVerdict, Rule};
pub use remote_environment::{
    McpEnvironmentSettings, ProcessEnvironmentSettings, RemoteEnvironment, RemoteEnvironmentError,
};
pub use sojourn_tools_macros::tool;
pub use source::{FixedSource, ToolSource};
pub use sources::{SourceError, SourceSettings};
pub use spec::{
    Effects, Example, Ingredient, Parameter, ParameterKind, Recipe, ResidueClass, ResultKind, TaskSpec,
    ToolSpec, arguments_schema, recipes_by_task, signature, with_defaults,
};
pub use tool::{CallContext, CallProgress, FailureKind, Need, Tool, ToolCall, ToolError, ToolOutcome};
pub use toolbox::{CallLimits, Refusal, ToolChanges, Toolbox, ValidatedCall, nearest};
