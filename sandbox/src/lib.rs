//! Runs skills written in JavaScript inside WebAssembly.
//!
//! A skill is a script that declares functions, one of which is its entry. [`Sandbox::compile`] turns it into a
//! small WebAssembly module that carries the script's bytecode; [`Sandbox::load`] makes a [`Program`] of such a
//! module; [`Sandbox::call`] runs it. Every call gets a fresh instance of one JavaScript engine, QuickJS-NG built
//! for WebAssembly and already initialised, so that starting costs microseconds and nothing survives a call.
//!
//! A skill has no power of its own. What it may do are the [`Binding`]s of its call: global functions that
//! the caller's [`Host`] answers. A `Call` binding acts; a `Live` binding is a view of the present state,
//! so that `while (observe().inventory.wood < 3) { … }` sees the world change.
//!
//! A [`Reflex`] is a program that maps a state to a decision; it is kept loaded between ticks, without one being able to
//! see anything of another. What a call may use are its [`Limits`], which a user sets as [`LimitSettings`]. A skill can
//! also be WebAssembly to begin with: `ABI.md` beside this crate says how such a module speaks with the host.
//!
//! Calls are reproducible: the clock and the seed come from the caller, parallel calls are settled in the order
//! they were started, and the computing budget is counted in wasm instructions ([`Limits::fuel`]). The same
//! program, arguments, seed, time and host answers give the same result and the same fuel.
//!
//! ```
//! use sojourn_sandbox::{Binding, Host, HostError, Invocation, Limits, Sandbox, SandboxConfig};
//! use serde_json::{Map, Value, json};
//! use std::sync::Arc;
//!
//! struct World;
//!
//! #[async_trait::async_trait]
//! impl Host for World {
//!     async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, HostError> {
//!         match name {
//!             "walk" => Ok(json!(args["steps"].as_i64() < Some(10))),
//!             _ => Err(HostError::Failed(format!("no {name} here"))),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::new(SandboxConfig::default())?;
//! let skill = sandbox.compile("stroll", "function stroll(n) { return walk(n) ? 'there' : 'tired' }").await?;
//! let program = sandbox.load(&skill)?;
//! let report = sandbox
//!     .call(
//!         &program,
//!         Invocation {
//!             args: &[json!(3)],
//!             bindings: &[Binding::call("walk", ["steps"])],
//!             host: Arc::new(World),
//!             limits: &Limits::default(),
//!             seed: 1,
//!             now_ms: 0,
//!         },
//!     )
//!     .await;
//! assert_eq!(report.result?, json!("there"));
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod abi;
mod binding;
mod compile;
mod diagnosis;
mod engine;
mod limits;
mod module;
mod prebuilt;
mod precompiled;
mod program;
mod reflex;
mod report;
mod reserved;
mod run;
mod sandbox;
mod settings;
mod warm;

pub use binding::{Binding, BindingKind, Host, HostError, Invocation, StopCause};
pub use compile::CompileError;
pub use engine::engine_sha256;
pub use limits::{LimitKind, Limits};
pub use module::LoadError;
pub use program::Program;
pub use reflex::Reflex;
pub use report::{CallError, CallReport, LogLevel, LogLine};
pub use sandbox::{Sandbox, SandboxConfig, SandboxError};
pub use settings::{LimitSettings, LimitsError};
