//! What an exploration is asked for and what it finds: plain data, which the caller logs.

use crate::UiState;
use serde::{Deserialize, Serialize};
use sojourn_tools::ToolCall;

/// How long an explorer looks for a way to a task's goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplorationPlan {
    /// The name of the task.
    pub task: String,
    /// Seeds of the practice worlds, one for each episode.
    pub seeds: Vec<u64>,
    /// Random actions in one episode at most; one action may be several calls.
    pub actions: u32,
    /// Calls in one episode at most, and environment steps that a call or a program may take.
    pub steps: u32,
    /// The exploration ends when a program has reached the goal in this many episodes.
    pub successes: usize,
    /// Names of admitted skills of other tasks, which are tried before anything else.
    #[serde(default)]
    pub known_skills: Vec<String>,
    /// Play in a world without a way to the goal ends after this many episodes in a row in which nothing new could be tried.
    /// `None`: it goes on, as it did where a log was recorded without this bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<usize>,
    /// Whether play sees which entry of an object a text of the state names, as a mission names what to go to. False where a log was
    /// recorded before there were such features.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mentions: bool,
}

/// The bound that new plans have for [`ExplorationPlan::quiet`].
pub const QUIET_EPISODES: usize = 32;

/// Calls that reached the goal in one world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Demonstration {
    /// The seed of the practice world.
    pub seed: u64,
    /// The calls, in order.
    pub steps: Vec<DemonstratedCall>,
}

/// A call, and what was seen before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DemonstratedCall {
    /// The state before the call.
    pub state: UiState,
    /// The call.
    pub call: ToolCall,
}

/// The result of an exploration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// Episodes that reached the goal at random, each without the calls that it did not need.
    pub demonstrations: Vec<Demonstration>,
    /// JavaScript sources of programs, the most successful first.
    pub programs: Vec<String>,
}
