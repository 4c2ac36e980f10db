//! The parts of the loop's state: what it waits for, and the episode under way.

use super::acting::AfterReflection;
use super::consolidating::{Comparison, Resume};
use super::consulting::Consultation;
use super::curriculum::Proposal;
use super::looking::{AfterLook, Look};
use super::reflexes::ReflexDraft;
use super::writing::Draft;
use crate::model::Recalled;
use serde_json::Value;
use sojourn_memory::EventSeq;
use sojourn_skills::SkillId;
use sojourn_tools::{Observation, ToolCall};
use std::collections::{BTreeSet, VecDeque};

/// The event that the core waits for, with the data that its handler needs.
pub(super) enum Phase {
    /// The start of an episode.
    Resetting,
    /// Memories and tools for a choice.
    Recalling { proposals: Vec<Proposal> },
    /// The picture of the present moment, before a choice.
    Looking { then: AfterLook },
    /// What a tool reads in that picture.
    Reading { then: AfterLook },
    /// The controller's choice among proposals.
    Choosing { proposals: Vec<Proposal>, memories: Vec<Recalled> },
    /// The answer of a tool outside the world, before a choice.
    Consulting(Consultation),
    /// The controller's choice of one tool call of the world.
    ChoosingAction,
    /// The result of random exploration for a task.
    Exploring(Draft),
    /// What can be done in the world.
    Discovering,
    /// First observations of other episodes of a task.
    Surveying(Draft),
    /// Lessons and tools for writing a skill.
    Preparing(Draft),
    /// Candidates of a skill.
    Writing(Draft),
    /// Trials of the candidates.
    Trying(Draft),
    /// The report of a skill's run in the episode.
    Acting { call: ToolCall },
    /// Trials of skills whose callees changed.
    Retesting { skills: Vec<SkillId> },
    /// Candidates of a reflex.
    WritingReflex(ReflexDraft),
    /// Trials of the reflex candidates.
    TryingReflexes(ReflexDraft),
    /// One lesson from a failure.
    Reflecting { then: AfterReflection },
    /// Lessons from the events in these records.
    Consolidating { events: Vec<EventSeq>, then: Resume },
    /// Older lessons, or the controller's comparison of them with the new ones.
    Comparing(Comparison),
    /// Nothing: the run is over.
    Finished,
}

impl Phase {
    /// Whether the time budget may be used up before the event comes.
    pub fn takes_long(&self) -> bool {
        self.waits_for_the_controller()
            || matches!(
                self,
                Self::Resetting
                    | Self::Acting { .. }
                    | Self::Exploring(_)
                    | Self::Discovering
                    | Self::Surveying(_)
                    | Self::Trying(_)
                    | Self::Retesting { .. }
                    | Self::TryingReflexes(_)
            )
    }

    pub fn waits_for_the_controller(&self) -> bool {
        matches!(
            self,
            Self::Choosing { .. }
                | Self::ChoosingAction
                | Self::Writing(_)
                | Self::WritingReflex(_)
                | Self::Reflecting { .. }
                | Self::Consolidating { .. }
                | Self::Comparing(_)
        )
    }

    /// Whether the request under way is about lessons.
    pub fn draws_lessons(&self) -> bool {
        matches!(self, Self::Reflecting { .. } | Self::Consolidating { .. } | Self::Comparing(_))
    }
}

/// The calls of an episode that only let time pass.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pastimes {
    /// How many there were.
    pub turn: usize,
    /// Calls in a row since the last step of the episode.
    pub idle: u32,
    /// The episode's steps before the last one.
    pub at: u64,
}

/// The episode under way.
pub(super) struct Episode {
    pub index: u64,
    pub seed: u64,
    /// The first state.
    pub first: Value,
    /// The latest observation.
    pub observation: Observation,
    /// The picture of the same moment, once it was asked for.
    pub look: Option<Look>,
    /// Tasks done in this episode, since they all became available again last (`repeat_tasks`).
    pub done: BTreeSet<String>,
    /// Tasks done in this episode.
    pub achieved: BTreeSet<String>,
    /// Environment steps taken in it.
    pub steps: u64,
    /// Calls still to be made for the chosen task, the task's own last.
    pub plan: VecDeque<ToolCall>,
    /// `steps` at the last time that all tasks became available again (`repeat_tasks`).
    pub repeated_at: Option<u64>,
    /// Calls that only waited for a number to fall.
    pub waits: u32,
    /// `steps` at the last time that tasks which had failed became available again (`live_on`).
    pub tried_again_at: u64,
    /// Calls that only let time pass (`live_on`).
    pub pastimes: Pastimes,
    /// Whether no episode is under way.
    pub over: bool,
}

impl Episode {
    /// The time before the first episode.
    pub fn none() -> Self {
        Self {
            index: 0,
            seed: 0,
            first: Value::Null,
            observation: Observation::new("", Value::Null),
            look: None,
            done: BTreeSet::new(),
            achieved: BTreeSet::new(),
            steps: 0,
            plan: VecDeque::new(),
            repeated_at: None,
            waits: 0,
            tried_again_at: 0,
            pastimes: Pastimes::default(),
            over: true,
        }
    }

    /// Starts the episode with this seed; the first observation comes later.
    pub fn start(&mut self, seed: u64) {
        self.seed = seed;
        self.look = None;
        self.done.clear();
        self.achieved.clear();
        self.plan.clear();
        self.steps = 0;
        self.repeated_at = None;
        self.waits = 0;
        self.tried_again_at = 0;
        self.pastimes = Pastimes::default();
        self.over = false;
    }
}
