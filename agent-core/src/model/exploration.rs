//! Exploration: what is tried at random in practice worlds before a program is written, and what reached the goal.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_tools::ToolCall;

/// How long something is looked for by chance that reaches a task's goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplorationPlan {
    /// The task.
    pub task: String,
    /// Seeds of the practice worlds, one for each episode of play.
    pub seeds: Vec<u64>,
    /// Things done in an episode by chance at most; one of them may be several calls.
    pub moves: u32,
    /// Calls made in an episode at most.
    pub steps: u32,
    /// A program that reaches the goal in so many episodes is enough.
    pub wanted: usize,
    /// Skills of other tasks that are tried first, by name.
    pub known: Vec<String>,
}

/// What was done in a world and reached the goal there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Demonstration {
    /// The practice world's seed.
    pub seed: u64,
    /// Call by call.
    pub steps: Vec<Shown>,
}

/// A call, and what was seen before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// What was to be done, in words.
    pub question: String,
    /// The things that could be acted on.
    pub things: Vec<Value>,
    /// What was done.
    pub call: ToolCall,
}
