//! Runs skills, written in JavaScript, inside WebAssembly.
//!
//! A skill is a script that declares functions, one of which is its entry. [`Sandbox::compile`] turns it into
//! a small WebAssembly module with the script's bytecode, [`Sandbox::load`] makes a [`Program`] of the
//! module, and [`Sandbox::call`] runs it. Every call gets a fresh instance of QuickJS-NG, which is compiled
//! to WebAssembly and already initialised, so that a call starts in microseconds and no state survives it.
//!
//! A skill has no capabilities of its own. It can use only the [`Binding`]s of its call: global functions
//! that the caller's [`Host`] answers. A `Call` binding acts; a `Live` binding is a view of the present
//! state, so that `while (observe().inventory.wood < 3) { … }` sees changes.
//!
//! A [`Reflex`] is a program that maps a state to a decision. It stays loaded between ticks, and ticks share
//! no state. [`Limits`] bound the resources of a call; users set them as [`LimitSettings`]. A skill can also
//! be a prebuilt WebAssembly module; `ABI.md` beside this crate specifies its interface.
//!
//! Calls are reproducible: the caller provides clock and seed, parallel calls complete in the order in which
//! they started, and the computing budget counts wasm instructions ([`Limits::fuel`]). Equal program,
//! arguments, seed, time and host answers give equal results and equal fuel.
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
mod budget;
mod compile;
mod diagnosis;
mod engine;
mod limits;
mod memory_limits;
mod module;
mod prebuilt;
mod precompiled;
mod program;
mod reflex;
mod report;
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
