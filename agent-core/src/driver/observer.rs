//! Notices of a run's progress.

use crate::model::{Event, Milestone, Purpose, SkillEvent};

/// Receives notices while a run goes on.
pub trait Observer: Send + Sync {
    /// Handles a notice. It must not block, because the driver waits for it.
    fn notice(&self, notice: &Notice<'_>);
}

/// Progress of a run.
#[derive(Debug)]
pub enum Notice<'a> {
    /// An episode starts.
    Episode {
        /// The seed of its world.
        seed: u64,
    },
    /// A milestone was reached.
    Milestone {
        /// The milestone.
        milestone: &'a Milestone,
        /// Whether an earlier process recorded it.
        replayed: bool,
    },
    /// A request was sent to the controller, which may take minutes.
    AskingController {
        /// The reason for the request.
        purpose: Purpose,
    },
    /// The controller answered or failed.
    ControllerAnswered {
        /// The reason for the request.
        purpose: Purpose,
        /// The answer: `ControllerAnswered` or `ControllerFailed`.
        event: &'a Event,
    },
    /// Trials start.
    Trials {
        /// The task, skill or reflex that is tried.
        task: &'a str,
        /// Number of candidates; 0 while nothing is tried yet, only explored.
        candidates: usize,
    },
    /// Something happened while a skill ran in the episode.
    Skill {
        /// The event.
        event: &'a SkillEvent,
        /// Whether an earlier process recorded it.
        replayed: bool,
    },
}

/// Ignores every notice.
pub struct Silent;

impl Observer for Silent {
    fn notice(&self, _notice: &Notice<'_>) {}
}
