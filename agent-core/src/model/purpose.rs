use serde::{Deserialize, Serialize};
use sojourn_controller::Priority;

/// What the controller is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Which task, with which arguments.
    Choose,
    /// A skill's source.
    Write,
    /// A lesson from a failure.
    Reflect,
    /// A reflex's source.
    WriteReflex,
    /// Lessons from an episode.
    Consolidate,
    /// How older lessons stand to new ones.
    Compare,
}

impl Purpose {
    /// How much a question of this kind matters beside those of other runs that ask the same model.
    pub fn priority(self) -> Priority {
        match self {
            // Until the reflex is there the agent dies of the same cause again.
            Self::WriteReflex => Priority::Urgent,
            Self::Choose | Self::Write => Priority::Acting,
            Self::Reflect | Self::Consolidate | Self::Compare => Priority::Background,
        }
    }
}
