//! Crafter as a Sojourn environment: the survival game in Rust, and the primitives that an agent plays it with.
//!
//! Crafter is Danijar Hafner's open-world survival game ("Benchmarking the Spectrum of Agent Capabilities",
//! arXiv 2109.06780; the Python package `crafter`, MIT licence). [`game`] is a new implementation of its rules,
//! version 1.8.3, and equals the original state for state, random numbers included (`tests/parity.rs` plays
//! both). It takes microseconds a step, so that skills can be tried in many worlds.
//!
//! [`CrafterEnvironment`] puts an agent into it: it remembers the land that was seen, offers primitives such as
//! `go_to("tree")` that are carried out action by action, and documents the 22 achievements as tasks with
//! their recipes. [`REFLEX_FIGHT`] is a hand-written reflex that strikes back, as data.
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
mod provider;
mod routine;
mod sight;
mod snapshot;
mod spec;

pub use environment::{CrafterEnvironment, EPISODE_LENGTH};
pub use provider::CrafterProvider;
pub use sight::Thing;

/// A reflex in JavaScript, `fight(state)`: the action that strikes at a zombie or skeleton next to the player, or
/// `null`.
pub const REFLEX_FIGHT: &str = include_str!("../reflexes/fight.js");
