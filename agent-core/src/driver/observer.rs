//! Notices of a run's progress.

use super::journal::Noted;
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
        /// Its record.
        noted: Noted,
    },
    /// A request was sent to the controller, which may take minutes.
    AskingController {
        /// The reason for the request.
        purpose: Purpose,
        /// The round of writing, from 1, and the largest number of rounds; `None` for other requests.
        round: Option<(u32, u32)>,
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
    /// A part of long work in practice worlds begins.
    Advanced {
        /// What is explored or tried.
        work: LongWork,
        /// The number of the part, from 1.
        number: usize,
        /// The largest number of parts.
        of: usize,
    },
    /// 80 % of a budget are used up.
    BudgetNearlyUsed {
        /// The budget: "steps".
        budget: &'static str,
        /// The share that is used; 1 is all of it.
        share: f64,
        /// The record with which they are; `None` where none says so, which no replay repeats.
        noted: Option<Noted>,
    },
    /// Something happened while a skill ran in the episode.
    Skill {
        /// The event.
        event: &'a SkillEvent,
        /// Its record.
        noted: Noted,
    },
}

/// Work in practice worlds that consists of many parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongWork {
    /// Exploration; a part is an episode.
    Exploration,
    /// Trials of candidates for a skill; a part is a world.
    SkillTrials,
    /// Trials of admitted skills in their cases; a part is a case.
    Cases,
    /// Trials of candidates for a reflex; a part is a world with all its episodes.
    ReflexTrials,
}

/// Ignores every notice.
pub struct Silent;

impl Observer for Silent {
    fn notice(&self, _notice: &Notice<'_>) {}
}
