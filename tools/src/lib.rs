//! Tools and environments: the interfaces through which a Sojourn agent observes and acts.
//!
//! - A [`Tool`] is one function with a JSON Schema and declared [`Effects`]. A [`Toolbox`] holds the tools of all
//!   [`ToolSource`]s, validates every call, limits its time and contains its failures. A [`Policy`] decides which calls
//!   are allowed.
//! - An [`Environment`] has a state: it is reset with a seed, observed, and changed by one [`Action`] at a time. A call of
//!   an environment's tool may take several actions. [`Environment::advance`] returns them one by one, so that a reflex
//!   can act between two of them.
//! - [`mcp`], [`process`], [`http`], [`wasm`] and [`builtin`] are sources of tools. The attribute [`macro@tool`] makes a
//!   tool of a Rust function.
//!
//! All values of these interfaces are serialisable, because the log records them and a replay reads them.
//!
//! ```
//! use sojourn_tools::{Effects, FunctionTool, NoArguments, Tool as _};
//!
//! let tool = FunctionTool::new("greet", "Greets.", Effects::default(), |_: NoArguments, _| async { "hello" });
//! assert_eq!(tool.spec().name, "greet");
//! ```

mod allowed_hosts;
pub mod builtin;
mod condition;
mod content;
mod declared_effects;
mod environment;
mod environment_registry;
mod exploration;
mod framing;
mod function;
mod goals;
mod grants;
mod gymnasium;
pub mod http;
#[cfg(feature = "serve")]
pub mod http_server;
pub mod mcp;
pub mod media;
mod observation;
pub mod outside;
mod perceived_environment;
mod policed_environment;
mod policy;
pub mod process;
pub mod python;
mod recorded_step;
mod remote_environment;
pub mod schema;
pub mod secrets;
mod source;
mod sources;
mod spec;
mod subprocess;
mod supervision;
mod tool;
mod toolbox;
mod unanswered;
pub mod wasm;
mod wording;

/// Private readers of outside bytes, for the fuzzer.
#[doc(hidden)]
pub mod fuzzing {
    use crate::framing::{Frame, FrameDecoder, answered_id, is_message};

    /// Reads bytes as a process' or a server's messages.
    pub fn read_messages(mut bytes: &[u8]) {
        let mut frames = FrameDecoder::new(64);
        while !bytes.is_empty() {
            let (taken, frame) = frames.take(bytes);
            bytes = &bytes[taken..];
            if let Some(Frame::Complete(line)) = frame {
                let _ = (is_message(&line), answered_id(&line));
                crate::process::read_message(&line);
            }
        }
    }
}

pub use allowed_hosts::AllowedHosts;
pub use condition::{Amount, Condition, ConditionError};
pub use content::Content;
pub use environment::{
    Action, Ending, EndingKind, Environment, EnvironmentError, EnvironmentSpec, EpisodePrefix, Frame,
    MOST_EPISODE_STEPS, Progress, Question, Snapshot, SpecOnlyEnvironment, StepOutcome,
};
pub use environment_registry::{
    Availability, BuiltInReflex, DescribedEnvironment, EnvironmentProvider, EnvironmentRegistry,
    EnvironmentUnavailable,
};
pub use exploration::{ActionTemplate, ArgumentSource, ExplorationSpec};
pub use function::{FunctionTool, IntoOutcome, Json, NoArguments};
pub use goals::WithGoals;
pub use grants::Grants;
pub use gymnasium::Gymnasium;
pub use media::{Media, MediaError, MediaInMemory, MediaStore};
pub use observation::Observation;
pub use perceived_environment::{PerceivedEnvironment, PictureReader};
pub use policed_environment::{ActionRules, PolicedEnvironment};
pub use policy::{
    ActionRuling, Decision, EffectKind, Policies, Policy, PolicyError, PolicyFile, PolicyVerdict, Rule,
};
pub use recorded_step::{RecordedArgument, RecordedStep};
pub use remote_environment::{
    McpEnvironmentSettings, ProcessEnvironmentSettings, RemoteEnvironment, RemoteEnvironmentError,
};
pub use sojourn_tools_macros::tool;
pub use source::{FixedSource, ToolSource};
pub use sources::{SourceError, SourceSettings};
pub use spec::{
    Effects, Evidence, Example, Ingredient, Parameter, ParameterKind, Recipe, ResidueClass, ResultKind,
    TaskSpec, ToolSpec, Waiting, arguments_schema, function_head, recipes_by_task, signature, with_defaults,
    with_examples,
};
pub use tool::{
    AllowsPart, CallContext, CallProgress, FailureKind, Need, Tool, ToolCall, ToolError, ToolOutcome,
    as_javascript,
};
pub use toolbox::{CallLimits, Refusal, ToolChanges, Toolbox, ValidatedCall, nearest};
pub use unanswered::{TimeoutAnswer, Unanswered};
pub use wording::Wording;
