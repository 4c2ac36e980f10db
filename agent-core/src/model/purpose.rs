use serde::{Deserialize, Serialize};
use sojourn_controller::Priority;

/// The purpose of a request to the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Choose a task and its arguments.
    Choose,
    /// Write a skill.
    Write,
    /// Draw a lesson from a failure.
    Reflect,
    /// Write a reflex.
    WriteReflex,
    /// Draw lessons from an episode.
    Consolidate,
    /// Compare new lessons with older ones.
    Compare,
}

impl Purpose {
    /// The priority of the request among those of other runs that share the model.
    pub fn priority(self) -> Priority {
        match self {
            // Until the reflex exists, the agent dies of the same cause again.
            Self::WriteReflex => Priority::Urgent,
            Self::Choose | Self::Write => Priority::Acting,
            Self::Reflect | Self::Consolidate | Self::Compare => Priority::Background,
        }
    }
}
