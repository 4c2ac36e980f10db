//! Crafter as a Sojourn environment: the survival game in Rust, and the primitives with which an agent plays
//! it.
//!
//! Crafter is Danijar Hafner's open-world survival game ("Benchmarking the Spectrum of Agent Capabilities",
//! arXiv 2109.06780; the Python package `crafter`, MIT licence). [`game`] reimplements the rules of version
//! 1.8.3 and equals the original state for state, including its random numbers (`tests/parity.rs` compares
//! both). A step takes microseconds, so skills can be tried in many worlds.
//!
//! [`CrafterEnvironment`] adds what an agent needs: a memory of the land it has seen, primitives such as
//! `go_to("tree")` that are carried out action by action, and the 22 achievements as tasks with recipes.
//! [`REFLEX_FIGHT`] is the source of a hand-written reflex that strikes back.
//!
//! ```
//! use sojourn_crafter::CrafterEnvironment;
//! use sojourn_tools::{Action, Environment};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let mut crafter = CrafterEnvironment::new();
//! crafter.reset(1).await?;
//! let outcome = crafter.step(&Action("move_left".into())).await?;
//! assert_eq!(outcome.state["health"], 9);
//! # Ok::<(), sojourn_tools::EnvironmentError>(())
//! # }).unwrap();
//! ```

#![forbid(unsafe_code)]

pub mod game;

mod environment;
mod observe;
mod path;
mod picture;
mod provider;
mod routine;
mod sight;
mod snapshot;
mod spec;
mod undocumented;

pub use environment::{CrafterEnvironment, EPISODE_LENGTH};
pub use provider::{CrafterProvider, UNDOCUMENTED};
pub use sight::Thing;
pub use undocumented::{Scoreboard, UndocumentedCrafter};

/// A reflex in JavaScript, `fight(state)`: returns the action that strikes an adjacent zombie or skeleton, or
/// `null`.
pub const REFLEX_FIGHT: &str = include_str!("../reflexes/fight.js");
