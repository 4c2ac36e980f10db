//! What a Sojourn agent perceives and acts through.
//!
//! An agent knows the world in two ways only. A [`Tool`] is one capability behind a JSON schema, with
//! declared [`Effects`]; a [`Registry`] holds them and checks every call against the caller's [`Grants`].
//! An [`Environment`] is a world with a state: it is reset with a seed, observed, and acted on one
//! [`Action`] at a time. Its capabilities reach the controller as tools too, but each of those *calls*
//! may take several actions, and between two actions the runtime looks at the observation and may let a
//! reflex act first. That is why an environment hands out actions one by one ([`Environment::advance`])
//! instead of running a call to its end.
//!
//! Everything that crosses these traits is plain, serialisable data, so that it can be logged and replayed.

mod condition;
mod environment;
mod grants;
mod observation;
mod registry;
mod spec;
mod tool;

pub use condition::{Amount, Condition, ConditionError};
pub use environment::{
    Action, Ending, EndingKind, Environment, EnvironmentError, EnvironmentSpec, Progress, Snapshot,
    StepOutcome,
};
pub use grants::Grants;
pub use observation::Observation;
pub use registry::{Refusal, Registry, nearest};
pub use spec::{
    Effects, Example, Ingredient, Parameter, ParameterKind, Recipe, TaskSpec, ToolSpec, arguments_schema,
    recipes_by_task, signature, with_defaults,
};
pub use tool::{Need, Tool, ToolCall, ToolError, ToolOutcome};
