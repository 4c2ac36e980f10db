//! Finds programs for tasks without a model: explores practice worlds at random, and generalises what reached the goal.
//!
//! A small language model writes skills slowly and often wrongly. Many tasks on a user interface are easier to stumble upon than
//! to think out: random calls reach the goal after a few hundred episodes. This crate makes random calls, and then asks what each
//! call had to do with the goal.
//!
//! * `exploration/` acts: an [`Explorer`] has a random policy make calls in episodes of a [`PracticeWorld`] until some reach the
//!   task's goal. It leaves out the calls that were not needed; what remains is a [`Demonstration`].
//! * `synthesis/` explains: each argument of a demonstrated call becomes an expression over the [`UiState`] that yields the
//!   argument in all demonstrations ("the element whose label the goal has in quotation marks"); repeated calls become loops. The
//!   resulting JavaScript programs are run in further worlds, which shows which of them was meant.
//!
//! * `play/` needs nothing but the tools of a world: a [`StateExplorer`] tries what was never tried in the states that it knows, and
//!   makes programs of the ways that reached the goal: sequences, chains of questions, tables, weights of numbers.
//!
//! * `discovery/` plays without a goal and tells what calls change: fields, effects, and the tasks that can be made of them.
//!
//! * `frontier/` goes on where effects need other effects before them: rules of what a call needs and brings about, by which it gets to
//!   where more can be found out.
//!
//! * [`Recording`] is a demonstration by a person, with arguments in the place of the goal's words; a [`Healer`] finds a way that differs
//!   little from it where a world has changed.
//!
//! The crate knows no model and no particular environment. An environment declares in its
//! [`ExplorationSpec`](sojourn_tools::ExplorationSpec) which tools may be called at random, and which fields of its state describe
//! elements. A state is read as a [`UiState`] once, at the border.
//!
//! # One meaning for each expression
//!
//! An expression has exactly one meaning: its JavaScript text, run in the sandbox. There is no interpreter beside it.
//!
//! * Programs run by the executor that trials use ([`PracticeWorld::run`]), also while exploring.
//! * To find out which expressions yield a demonstrated argument, their JavaScript is evaluated in the sandbox too: one compiled
//!   function evaluates hundreds of expressions on a state. The code that proposes expressions only looks values up.
//! * The random policy reads texts (numbers, calculations, mentions) by the same JavaScript helper functions.
//!
//! In `play/` questions and the weights of a policy are used on both sides, because thousands of states are asked: by the code
//! that makes them, and as JavaScript. `play/tests.rs` checks that both choose alike, whatever kinds of values a state has.
//!
//! The alternative, one evaluator in Rust for the selection of expressions, would be faster, and would say twice what a program
//! means. `synthesis/tests.rs` checks the law that remains: a program does in the world where it was demonstrated what was
//! demonstrated there, and elsewhere what the evaluator says.
//!
//! # Example
//!
//! A hall in which the goal names the door to open:
//!
//! ```
//! use serde_json::{Value, json};
//! use sojourn_sandbox::{Binding, Host, HostError, Invocation, Limits, Program, Sandbox, SandboxConfig};
//! use sojourn_synthesis::{CallResult, ExplorationPlan, Explorer, PracticeWorld, RunResult};
//! # use sojourn_tools::{
//! #     ActionTemplate, Amount, ArgumentSource, Condition, EnvironmentSpec, ExplorationSpec, Wording,
//! # };
//! # use sojourn_tools::{Parameter, ParameterKind, Question, TaskSpec, ToolCall, ToolSpec};
//! # use std::sync::{Arc, Mutex};
//!
//! /// A hall with three doors; the goal names the one to open.
//! #[derive(Clone, Default)]
//! struct Doors(Arc<Mutex<Value>>);
//!
//! impl Doors {
//!     fn open(&self, door: &str) {
//!         let mut state = self.0.lock().unwrap();
//!         let goal = format!("Open the {door} door.");
//!         state["opened"] = json!(if state["goal"] == goal.as_str() { 1 } else { 0 });
//!     }
//! }
//!
//! #[async_trait::async_trait]
//! impl PracticeWorld for Doors {
//!     type Error = std::convert::Infallible;
//!
//!     async fn reset(&mut self, seed: u64) -> Result<Value, Self::Error> {
//!         let doors = ["red", "green", "blue"];
//!         let elements: Vec<Value> =
//!             doors.iter().map(|name| json!({"id": name, "kind": "door", "label": name})).collect();
//!         let goal = format!("Open the {} door.", doors[seed as usize % 3]);
//!         *self.0.lock().unwrap() = json!({"goal": goal, "elements": elements, "opened": 0});
//!         Ok(self.0.lock().unwrap().clone())
//!     }
//!
//!     async fn call(&mut self, call: &ToolCall, _max_steps: u32) -> Result<CallResult, Self::Error> {
//!         self.open(call.args["door"].as_str().unwrap_or_default());
//!         Ok(CallResult { state: self.0.lock().unwrap().clone(), reward: 0.0, succeeded: true, ended: false, lost: false, steps: 1 })
//!     }
//!
//!     async fn run(&mut self, seed: u64, program: &Program, _granted: &[String], _max_steps: u32)
//!         -> Result<RunResult, Self::Error>
//!     {
//!         let before = self.reset(seed).await?;
//!         let bindings = [Binding::live("observe"), Binding::call("open", ["door"])];
//!         let limits = Limits::default();
//!         let host = Arc::new(self.clone());
//!         let invocation = Invocation { args: &[], bindings: &bindings, host, limits: &limits, seed, now_ms: 0 };
//!         let _ = sandbox().call(program, invocation).await;
//!         Ok(RunResult { before, after: self.0.lock().unwrap().clone() })
//!     }
//! }
//!
//! #[async_trait::async_trait]
//! impl Host for Doors {
//!     async fn call(&self, name: &str, args: serde_json::Map<String, Value>) -> Result<Value, HostError> {
//!         if name == "open" {
//!             self.open(args["door"].as_str().unwrap_or_default());
//!         }
//!         Ok(self.0.lock().unwrap().clone())
//!     }
//! }
//! # fn sandbox() -> Sandbox {
//! #     static SANDBOX: std::sync::LazyLock<Sandbox> =
//! #         std::sync::LazyLock::new(|| Sandbox::new(SandboxConfig::default()).unwrap());
//! #     SANDBOX.clone()
//! # }
//! # fn environment() -> EnvironmentSpec {
//! #     let door = Parameter { name: "door".into(), kind: ParameterKind::Text, default: None };
//! #     EnvironmentSpec {
//! #         name: "doors".into(), version: "1".into(), deterministic: true, about: String::new(), actions: vec![],
//! #         tools: vec![
//! #             ToolSpec::new("observe", "the doors"),
//! #             ToolSpec { parameters: vec![door], ..ToolSpec::new("open", "opens a door") },
//! #         ],
//! #         controls: String::new(), tasks: vec![], recipes: vec![], examples: vec![], vitals: vec![],
//! #         question: Some(Question { path: "/goal".parse().unwrap(), differs: String::new(), fixed: false }),
//! #         exploration: Some(ExplorationSpec {
//! #             elements: "/elements".parse().unwrap(), kind: "kind".into(), label: "label".into(), groups: vec![],
//! #             actions: vec![ActionTemplate { tool: "open".into(), args: vec![ArgumentSource::Element(vec![])], weight: 1 }],
//! #         }),
//! #         play: false,
//! #         practice: true,
//! #         episode_steps: None,
//! #         wording: Wording::default(),
//! #         untrusted: false,
//! #     }
//! # }
//! # fn task() -> TaskSpec {
//! #     TaskSpec {
//! #         name: "open_door".into(), description: "open the door".into(), parameters: vec![], achievement: true, episodes: None,
//! #         goal: Condition::AtLeast { path: "/opened".parse().unwrap(), value: Amount::Literal(1.0) },
//! #     }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let plan = ExplorationPlan {
//!     task: "open_door".into(),
//!     seeds: (0..60).collect(),
//!     actions: 2,
//!     steps: 4,
//!     successes: 4,
//!     known_skills: vec![],
//!     quiet: None,
//!     play_rules: 0,
//! };
//! let explorer = Explorer { environment: &environment(), task: &task(), plan: &plan, sandbox: sandbox() };
//! let findings = explorer.explore(vec![Doors::default()]).await?;
//! assert!(findings.programs[0].contains("said(e.label)"), "the door is the one that the goal mentions");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod discovery;
mod exploration;
#[cfg(test)]
mod fixtures;
mod frontier;
mod habit;
mod healing;
mod javascript;
mod plan;
mod play;
mod recipe;
mod recording;
mod synthesis;
mod ui;
mod world;

pub use discovery::{Change, Effect, FieldKind, StateField, Survey, identifier};
pub use exploration::Explorer;
pub use frontier::{Beliefs, DiscoveryPlan, Documentation, FrontierExplorer, Rule, Use};
pub use habit::{FallingNumber, HabitPlan, Store};
pub use healing::{Healed, Healer};
pub use plan::{DemonstratedCall, Demonstration, ExplorationPlan, Findings, PLAY_RULES, QUIET_EPISODES};
pub use play::{StateExplorer, calls_to_try};
pub use recipe::{Batches, PlannedItem, RecipePlan, Surroundings};
pub use recording::Recording;
pub use ui::{ElementId, Field, FieldValue, Group, LeftOut, UiElement, UiState, UiStateError};
pub use world::{CallResult, ExplorationError, PracticeWorld, RunResult};
