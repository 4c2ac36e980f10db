//! The lifelong loop as a state machine without I/O: `(state, event) -> (state, effects)`.
//!
//! The core reads no clock, no randomness and no network. It requests what it needs from outside by an [`Effect`], and
//! receives the result as an [`Event`]. The recorded events give the same effects again: that is replay.
//!
//! [`Core::apply`] is the table of what follows what. Each group of handlers has a file: `looking`, `choosing` and `acting` for the
//! episode, `writing` for skills, `reflexes`, `upkeep` for the library, `consolidating` for lessons. Every text for the
//! controller is in `agent-core/prompts/`, and `prompts` fills it.

mod acting;
mod asking;
mod budgets;
mod choosing;
mod consolidating;
mod consulting;
pub mod curriculum;
mod discovering;
mod episodes;
pub mod goals;
mod guard;
mod habits;
mod living;
mod looking;
pub mod planner;
mod prompts;
mod reflexes;
mod resuming;
pub mod seeds;
mod state;
mod stuck;
mod upkeep;
mod writing;

pub use budgets::Totals;
pub(crate) use writing::trial_calls;

use crate::config::RunConfig;
use crate::model::{Effect, Event, FinishReason, Moment, RunOrigin};
use consolidating::Experiences;
use consulting::Consultations;
use curriculum::Curriculum;
use discovering::Discoveries;
use guard::Guard;
use habits::Falling;
use planner::Planner;
use serde_json::Value;
use sojourn_memory::{EventSeq, MemoryId};
use sojourn_skills::{Demotion, LibraryState};
use sojourn_tools::EnvironmentSpec;
use state::{Episode, Phase};
use std::collections::{BTreeMap, BTreeSet};
use stuck::Progress;

/// Requests in a row without a usable answer after which a run ends: a refused answer fails an attempt, not the run.
const REFUSALS: u32 = 24;

/// The state of a run.
pub struct Core {
    config: RunConfig,
    spec: EnvironmentSpec,
    /// The world's recipes and tasks, indexed.
    planner: Planner,
    curriculum: Curriculum,
    /// The core's own copy of the skill library; every change is an effect too.
    library: LibraryState,
    origin: RunOrigin,
    phase: Phase,
    episode: Episode,
    totals: Totals,
    /// Number of requests to the controller; each request draws its own seed from it.
    requests: u64,
    /// Whether the latest request was for the teacher.
    asked_teacher: bool,
    /// What the run found out about its world.
    discoveries: Discoveries,
    /// Number of random explorations; each one draws its own worlds from it.
    explorations: u64,
    /// How often a way to the goal of a task was found by exploration, and no program that goes it elsewhere.
    vain_explorations: BTreeMap<String, u32>,
    /// Failures of the controller in a row.
    controller_failures: u32,
    /// Requests in a row that the controller refused to answer; answers to requests for lessons do not count.
    refusals: u32,
    guard: Guard,
    /// The warning for the controller's next choice, after a repetition.
    nudge: Option<String>,
    /// Tasks given up since the last event.
    given_up: u32,
    /// The last moments of the episode that ended with a death.
    moments: Vec<Moment>,
    /// Attempts to write a reflex, by cause of death.
    reflex_attempts: BTreeMap<String, u32>,
    /// Searches for habits, and those in a row that found none.
    searches: u64,
    vain_searches: u32,
    /// What falls by itself, and which skill raises it.
    falling: Falling,
    /// Reasons of demotions, by skills that have not been repaired yet.
    demoted: BTreeMap<String, Demotion>,
    /// The record of the event under way.
    seq: EventSeq,
    /// Events since lessons were drawn last.
    experiences: Experiences,
    /// Ids of the lessons that the controller saw for the task under way; its outcome is credited to them.
    lessons_shown: Vec<MemoryId>,
    /// Tools outside the world, and whether content from outside has reached the run.
    consultations: Consultations,
    /// Whether the run was recorded elsewhere: its own settings are no words of the user.
    from_elsewhere: bool,
    /// Whether the episode under way brought something new: a skill, an achievement, a failure or a death.
    news: bool,
    /// Number of episodes in a row that brought nothing new.
    uneventful: u32,
    /// Achievements that the run has unlocked.
    unlocked: BTreeSet<String>,
    /// Names of the goals that people added while the run was under way, without those that are tasks of the world.
    added_goals: BTreeSet<String>,
    /// What happened since the last progress.
    progress: Progress,
    /// Wall-clock milliseconds at the run's start.
    started_ms: i64,
    /// Wall-clock milliseconds of the latest event.
    now_ms: i64,
    /// Milliseconds between two processes of the run.
    paused_ms: i64,
}

impl Core {
    /// A run that has not started. `library` is what earlier runs learned.
    pub fn new(config: RunConfig, spec: EnvironmentSpec, library: LibraryState, origin: RunOrigin) -> Self {
        let mut consultations = Consultations::default();
        if spec.untrusted {
            consultations.taint();
        }
        Self {
            planner: Planner::by_rules(&spec, config.rules),
            config,
            discoveries: Discoveries::before(&spec),
            spec,
            curriculum: Curriculum::default(),
            library,
            origin,
            phase: Phase::Resetting,
            episode: Episode::none(),
            totals: Totals::default(),
            requests: 0,
            asked_teacher: false,
            explorations: 0,
            vain_explorations: BTreeMap::new(),
            controller_failures: 0,
            refusals: 0,
            guard: Guard::default(),
            nudge: None,
            given_up: 0,
            moments: Vec::new(),
            reflex_attempts: BTreeMap::new(),
            searches: 0,
            vain_searches: 0,
            falling: Falling::default(),
            demoted: BTreeMap::new(),
            seq: EventSeq(0),
            experiences: Experiences::default(),
            lessons_shown: Vec::new(),
            consultations,
            from_elsewhere: false,
            news: false,
            uneventful: 0,
            unlocked: BTreeSet::new(),
            added_goals: BTreeSet::new(),
            progress: Progress::default(),
            started_ms: 0,
            now_ms: 0,
            paused_ms: 0,
        }
    }

    /// The first effects.
    pub fn start(&mut self, at_ms: i64) -> Vec<Effect> {
        (self.started_ms, self.now_ms) = (at_ms, at_ms);
        self.reset()
    }

    /// The effects of `event`, which happened at `at_ms`. An event that the present phase does not wait for has none.
    pub fn apply(&mut self, at_ms: i64, event: Event) -> Vec<Effect> {
        self.now_ms = at_ms;
        self.given_up = 0;
        let unlocked = Self::unlocks(&event);
        let effects = self.transition(event);
        self.watch_progress(unlocked, &effects);
        effects
    }

    fn transition(&mut self, event: Event) -> Vec<Effect> {
        if let Event::ControllerAnswered { reply } = &event
            && self.phase.waits_for_the_controller()
        {
            self.count(reply);
            if let Some(reason) = reply.refusal()
                && self.refusals >= REFUSALS
            {
                let error = format!("{REFUSALS} requests in a row had no usable answer; the last: {reason}");
                return self.finish(FinishReason::Controller { error });
            }
        }
        if let Event::Recalled { memories, .. } = &event
            && memories.iter().any(|memory| memory.untrusted)
        {
            self.consultations.taint();
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Finished);
        match (phase, event) {
            (Phase::Resetting, Event::EpisodeStarted { observation, .. }) => {
                self.curriculum.episode_started();
                self.consultations.episode_started();
                self.episode.first.clone_from(&observation.state);
                self.episode.observation = observation;
                self.decide()
            }
            (Phase::Recalling { proposals }, Event::Recalled { memories, tools }) => {
                self.choose(proposals, memories, &tools)
            }
            (Phase::Looking { then }, Event::Looked { picture, shown, trusted }) => {
                self.looked(then, picture, shown, trusted)
            }
            (Phase::Reading { then }, Event::ToolAnswered { outcome, trusted }) => {
                self.picture_read(then, &outcome, trusted)
            }
            (Phase::Choosing { proposals, memories }, Event::ControllerAnswered { reply }) => {
                self.chosen(proposals, memories, &reply)
            }
            (Phase::Consulting(consultation), Event::ToolAnswered { outcome, trusted }) => {
                self.consulted(consultation, &outcome, trusted)
            }
            (Phase::ChoosingAction, Event::ControllerAnswered { reply }) => self.action_chosen(&reply),
            (Phase::Exploring(draft), Event::Explored { demonstrations, programs }) => {
                self.explored(draft, &demonstrations, programs)
            }
            (Phase::Discovering, Event::Discovered { beliefs, tasks, recipes }) => {
                self.discovered(beliefs, tasks, recipes)
            }
            (Phase::Surveying(draft), Event::StartsObserved { seen }) => self.surveyed(draft, seen),
            (Phase::Preparing(draft), Event::Recalled { memories, tools }) => {
                self.write(draft, &memories, &tools)
            }
            (Phase::Writing(draft), Event::ControllerAnswered { reply }) => {
                self.try_candidates(draft, &reply)
            }
            (Phase::Trying(draft), Event::CandidatesTried { trials }) => self.tried(draft, &trials),
            (Phase::WritingReflex(draft), Event::ControllerAnswered { reply }) => {
                self.screen_reflexes(draft, &reply)
            }
            (Phase::TryingReflexes(draft), Event::ReflexesTried { trials }) => {
                self.reflexes_tried(draft, &trials)
            }
            (Phase::Retesting { skills }, Event::SkillsRetested { retests }) => {
                self.retested(&skills, &retests)
            }
            (Phase::Acting { call }, Event::Acted { report }) => self.acted(&call, report),
            (Phase::Reflecting { then }, Event::ControllerAnswered { reply }) => {
                self.reflected(&reply, &then)
            }
            (Phase::Consolidating { events, then }, Event::ControllerAnswered { reply }) => {
                self.lessons_drawn(&reply, &events, then)
            }
            (Phase::Comparing(comparison), Event::Recalled { memories, .. }) => {
                self.older_lessons_recalled(comparison, memories)
            }
            (Phase::Comparing(comparison), Event::ControllerAnswered { reply }) => {
                self.compared(&comparison, &reply)
            }
            (phase, Event::OutOfTime {}) if phase.takes_long() => self.out_of_time(phase),
            (phase, Event::ControllerFailed { error }) => self.without_an_answer(phase, error),
            (phase, _) => {
                self.phase = phase;
                Vec::new()
            }
        }
    }

    /// The effects of a request that the controller could not answer.
    fn without_an_answer(&mut self, phase: Phase, error: String) -> Vec<Effect> {
        match phase {
            Phase::WritingReflex(draft) => {
                self.controller_failed(error, move |core| core.next_episode(draft.cause))
            }
            Phase::Reflecting { then } => self.controller_failed(error, move |core| core.after(&then)),
            // It counts as a round, so that a task that cannot be written is left for later.
            Phase::Writing(draft) => self.controller_failed(error, move |core| core.next_round(draft, None)),
            Phase::Consolidating { then, .. } => self.controller_failed(error, move |core| core.resume(then)),
            Phase::Comparing(comparison) => {
                self.controller_failed(error, move |core| core.consolidated(&comparison, Vec::new()))
            }
            _ => self.controller_failed(error, Self::decide),
        }
    }

    /// The round of writing under way, from 1, and the largest number of rounds.
    pub(crate) fn round(&self) -> Option<(u32, u32)> {
        match &self.phase {
            Phase::Writing(draft) => Some((draft.round() + 1, self.config.actor.rounds)),
            Phase::WritingReflex(draft) => Some((draft.round() + 1, self.config.reflexes.as_ref()?.rounds)),
            _ => None,
        }
    }

    /// The core's copy of the skill library.
    pub fn library(&self) -> &LibraryState {
        &self.library
    }

    /// The environment as it described itself.
    pub fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    /// The origin of skills that this run writes.
    pub fn origin(&self) -> &RunOrigin {
        &self.origin
    }

    /// The latest state of the world; null before the first episode.
    pub(crate) fn state(&self) -> &Value {
        &self.episode.observation.state
    }

    /// The settings.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }
}
