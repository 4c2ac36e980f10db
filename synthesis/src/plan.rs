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
    /// The version of the rules by which play looks for programs, for logs that were recorded by earlier ones. From 1 on, it sees which
    /// entry of an object a text of the state names, as a mission names what to go to; a policy that is stuck does something at
    /// random; and a program is run in more worlds before it is taken for good. From 2 on, it learns to choose among the calls that a
    /// world says are possible, where programs can read them. From 3 on, it goes on after the first program that works, plays where programs
    /// lose, and tells apart what looks alike; two thirds of the seeds are for programs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub play_rules: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What new plans have for [`ExplorationPlan::play_rules`].
pub const PLAY_RULES: u32 = 3;

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
