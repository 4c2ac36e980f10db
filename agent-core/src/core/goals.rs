//! The meaning of the user's goals in words, found before a run begins.

use super::asking::json_answer;
use super::prompts;
pub use super::prompts::goal::GoalMeaning;
use sojourn_controller::{Reply, Request};
use sojourn_synthesis::Survey;
use sojourn_tools::EnvironmentSpec;

/// Asks what `goal` means in a world: one of its tasks, a condition over the fields that `survey` saw, or nothing there.
pub fn goal_request(spec: &EnvironmentSpec, survey: &Survey, goal: &str, seed: u64) -> Request {
    prompts::goal::goal(spec, survey, goal, seed)
}

/// The meaning in the reply to such a request.
pub fn goal_meaning(reply: &Reply) -> GoalMeaning {
    prompts::goal::meaning(&json_answer(reply))
}
