//! Exploration: random actions in practice worlds, before a program is written.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sojourn_tools::ToolCall;

/// The task, the worlds and the limits of an exploration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplorationPlan {
    /// The task.
    pub task: String,
    /// Seeds of the practice worlds, one for each episode.
    pub seeds: Vec<u64>,
    /// The largest number of random moves in an episode; a move may consist of several calls.
    pub moves: u32,
    /// The largest number of calls in an episode.
    pub steps: u32,
    /// Exploration ends when a program has reached the goal in this many episodes.
    pub wanted: usize,
    /// Skills of other tasks that are tried first, by name.
    pub known: Vec<String>,
}

/// Calls that reached the goal in a world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Demonstration {
    /// The practice world's seed.
    pub seed: u64,
    /// Call by call.
    pub steps: Vec<Shown>,
}

/// A call, and the state that was seen before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The question of the episode, in words.
    pub question: String,
    /// The elements that could be acted on.
    pub things: Vec<Value>,
    /// The call.
    pub call: ToolCall,
}
