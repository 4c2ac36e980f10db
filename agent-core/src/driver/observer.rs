//! Who watches a run while it goes on.

use super::StageEvent;
use crate::event::{Event, Milestone, Purpose};

/// Told of everything as it happens. It must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn notice(&self, notice: &Notice<'_>);
}

/// Something that happened.
#[derive(Debug)]
pub enum Notice<'a> {
    /// An episode starts.
    Episode {
        /// Its seed.
        seed: u64,
    },
    /// A milestone was reached.
    Milestone {
        /// Which.
        milestone: &'a Milestone,
        /// Whether it had been recorded before.
        replayed: bool,
    },
    /// The controller is asked; it may take its time.
    Thinking {
        /// What for.
        purpose: Purpose,
    },
    /// The controller was asked and answered.
    Thought {
        /// What for.
        purpose: Purpose,
        /// The answer.
        event: &'a Event,
    },
    /// Candidates are tried.
    Practising {
        /// For which task.
        task: &'a str,
        /// How many.
        candidates: usize,
    },
    /// Something happened in the episode.
    Stage {
        /// What.
        event: &'a StageEvent,
        /// Whether it had been recorded before.
        replayed: bool,
    },
}

/// Watches nothing.
pub struct Silent;

impl Observer for Silent {
    fn notice(&self, _notice: &Notice<'_>) {}
}
