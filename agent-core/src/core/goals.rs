//! The meaning of the user's goals in words, found before a run begins.

pub use super::prompts::goal::{GoalMeaning, GoalQuestion};
