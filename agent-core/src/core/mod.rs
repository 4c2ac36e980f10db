//! The lifelong loop as a state machine without I/O: `(state, event) -> (state, effects)`.
//!
//! It reads no clock, no randomness and no network. What it needs from outside it asks for by an [`Effect`];
//! what comes back is an [`Event`]. Feeding the recorded events again gives the same effects: that is replay.

mod acting;
mod choosing;
mod consolidating;
mod consulting;
pub mod curriculum;
mod guard;
mod notes;
pub mod planner;
mod prompts;
mod reflexes;
mod resuming;
pub mod seeds;
mod upkeep;
mod writing;

use crate::config::{Budgets, RunConfig};
use crate::model::{Effect, Event, FinishReason, Milestone, Moment, Purpose, Recalled};
use consolidating::{Comparison, Experiences, Resume};
use consulting::{Consultation, Consultations};
use curriculum::{Curriculum, Proposal};
use guard::Guard;
use planner::Planner;
use reflexes::ReflexDraft;
use serde_json::{Map, Value};
use sojourn_controller::Reply;
use sojourn_memory::EventSeq;
use sojourn_skills::{Demotion, LibraryState, SkillId};
use sojourn_tools::{EnvironmentSpec, Observation, ToolCall};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use writing::Draft;
pub(crate) use writing::trial_calls;

/// Failures of the controller in a row after which a run ends.
const CONTROLLER_PATIENCE: u32 = 3;
/// Proposals that the controller chooses from.
const OPTIONS: usize = 4;

/// The state of a run.
pub struct Core {
    config: RunConfig,
    spec: EnvironmentSpec,
    planner: Planner,
    curriculum: Curriculum,
    library: LibraryState,
    /// Name of the controller's model and of the run: the origin of the skills it writes.
    origin: RunOrigin,
    phase: Phase,
    episode: Episode,
    totals: Totals,
    /// Counts the requests to the controller; each draws its own seed.
    requests: u64,
    /// Counts how often something was looked for by chance; each time in other worlds.
    explorations: u64,
    controller_failures: u32,
    guard: Guard,
    /// What the controller is told with its next choice, after a nudge.
    nudge: Option<String>,
    /// What led to the death that ended the episode.
    moments: Vec<Moment>,
    /// How often a reflex was written against each cause of death.
    reflex_attempts: BTreeMap<String, u32>,
    /// Why the skills were demoted that have not been repaired yet.
    demoted: BTreeMap<String, Demotion>,
    /// Steps of the episode when everything was last begun anew.
    begun_anew: Option<u64>,
    /// The record of the event that is applied.
    seq: EventSeq,
    /// What lessons are drawn from.
    experiences: Experiences,
    /// Lessons that what is under way was decided with.
    relied_on: Vec<String>,
    /// Tools that are not the environment's.
    consultations: Consultations,
    /// Whether no episode is under way.
    episode_over: bool,
    started_ms: i64,
    now_ms: i64,
    /// How long the run lay still between two processes, in milliseconds.
    paused_ms: i64,
}

/// Where skills written in this run come from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RunOrigin {
    /// The run.
    pub run: String,
    /// The controller's model.
    pub model: String,
    /// sha256 (hex) of the sandbox's engine.
    pub engine: String,
}

/// What the core waits for.
enum Phase {
    /// An episode to start.
    Resetting,
    /// Memories, before a choice.
    Recalling { proposals: Vec<Proposal> },
    /// The controller's choice.
    Choosing { proposals: Vec<Proposal>, memories: Vec<Recalled> },
    /// A tool's answer, before a choice.
    Consulting(Consultation),
    /// The controller's choice of a primitive.
    Improvising,
    /// What reaches the goal by chance, before anybody thinks about it.
    Exploring(Draft),
    /// How other episodes of the task begin, before a skill is written from what is seen.
    Surveying(Draft),
    /// Lessons, before a skill is written.
    Preparing(Draft),
    /// Candidates.
    Writing(Draft),
    /// Verdicts.
    Trying(Draft),
    /// A skill's run in the episode.
    Acting { call: ToolCall },
    /// Verdicts on skills whose callees changed.
    Retesting { skills: Vec<SkillId> },
    /// Candidates for a reflex.
    WritingReflex(ReflexDraft),
    /// Verdicts on them.
    TryingReflexes(ReflexDraft),
    /// A lesson in words.
    Reflecting { then: AfterReflection },
    /// Lessons from the episode.
    Consolidating { told: Vec<EventSeq>, then: Resume },
    /// Older lessons, and how they stand to the new ones.
    Comparing(Comparison),
    /// Nothing: the run is over.
    Finished,
}

/// What follows a reflection.
enum AfterReflection {
    /// Something else in the same episode; the lesson is about this task.
    Decide { task: String },
    /// The next episode; this one ended so.
    NextEpisode(String),
}

/// The episode under way.
struct Episode {
    index: u64,
    seed: u64,
    observation: Observation,
    done: BTreeSet<String>,
    steps: u64,
    /// Calls still to be made for the chosen task, the task's own last.
    plan: VecDeque<ToolCall>,
}

/// What the run has used up and brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Totals {
    /// Environment steps in episodes.
    pub steps: u64,
    /// Tokens that the controller generated.
    pub tokens: u64,
    /// Tokens that it read anew.
    pub prompt_tokens: u64,
    /// Episodes that ended.
    pub episodes: u64,
    /// Calls of tools, by the controller or by skills.
    pub tool_calls: u64,
    /// Money, in the currency of the run's prices; 0 without any.
    pub cost: f64,
}

impl Core {
    /// A run that has not started. `library` is what was learned before.
    pub fn new(config: RunConfig, spec: EnvironmentSpec, library: LibraryState, origin: RunOrigin) -> Self {
        let planner = Planner::new(&spec);
        let observation = Observation { text: String::new(), state: Value::Null };
        Self {
            config,
            planner,
            spec,
            curriculum: Curriculum::default(),
            library,
            origin,
            phase: Phase::Resetting,
            episode: Episode {
                index: 0,
                seed: 0,
                observation,
                done: BTreeSet::new(),
                steps: 0,
                plan: VecDeque::new(),
            },
            totals: Totals::default(),
            requests: 0,
            explorations: 0,
            controller_failures: 0,
            guard: Guard::default(),
            nudge: None,
            moments: Vec::new(),
            reflex_attempts: BTreeMap::new(),
            demoted: BTreeMap::new(),
            begun_anew: None,
            seq: EventSeq(0),
            experiences: Experiences::default(),
            relied_on: Vec::new(),
            consultations: Consultations::default(),
            episode_over: true,
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

    /// What to do after `event`, which happened at `at_ms`. An event that nothing waits for has no effects.
    pub fn apply(&mut self, at_ms: i64, event: Event) -> Vec<Effect> {
        self.now_ms = at_ms;
        let phase = std::mem::replace(&mut self.phase, Phase::Finished);
        match (phase, event) {
            (Phase::Resetting, Event::EpisodeStarted { observation, .. }) => {
                self.curriculum.episode_started();
                self.consultations.episode_started();
                self.episode.observation = observation;
                self.decide()
            }
            (Phase::Recalling { proposals }, Event::Recalled { memories, tools }) => {
                self.choose(proposals, memories, &tools)
            }
            (Phase::Choosing { proposals, memories }, Event::ControllerAnswered { reply }) => {
                self.count(&reply);
                self.chosen(proposals, memories, &reply)
            }
            (Phase::Consulting(consultation), Event::ToolAnswered { outcome, trusted }) => {
                self.consulted(consultation, &outcome, trusted)
            }
            (Phase::Improvising, Event::ControllerAnswered { reply }) => {
                self.count(&reply);
                self.improvised(&reply)
            }
            (Phase::Exploring(draft), Event::Explored { demonstrations, programs }) => {
                self.explored(draft, &demonstrations, programs)
            }
            (Phase::Surveying(draft), Event::StartsObserved { seen }) => self.surveyed(draft, seen),
            (Phase::Preparing(draft), Event::Recalled { memories, tools }) => {
                self.write(draft, &memories, &tools)
            }
            (Phase::Writing(draft), Event::ControllerAnswered { reply }) => {
                self.count(&reply);
                self.try_candidates(draft, &reply)
            }
            (Phase::Trying(draft), Event::CandidatesTried { trials }) => self.tried(draft, &trials),
            (Phase::WritingReflex(draft), Event::ControllerAnswered { reply }) => {
                self.count(&reply);
                self.screen_reflexes(draft, &reply)
            }
            (Phase::WritingReflex(draft), Event::ControllerFailed { error }) => {
                let cause = draft.cause;
                self.controller_failed(error, move |core| core.next_episode(cause))
            }
            (Phase::TryingReflexes(draft), Event::ReflexesTried { trials }) => {
                self.reflexes_tried(draft, &trials)
            }
            (Phase::Retesting { skills }, Event::SkillsRetested { retests }) => {
                self.retested(&skills, &retests)
            }
            (Phase::Acting { call }, Event::Acted { report }) => self.acted(&call, report),
            (Phase::Reflecting { then }, Event::ControllerAnswered { reply }) => {
                self.count(&reply);
                self.reflected(&reply, &then)
            }
            (Phase::Reflecting { then }, Event::ControllerFailed { error }) => {
                self.controller_failed(error, move |core| core.go_on(&then))
            }
            (Phase::Writing(draft), Event::ControllerFailed { error }) => {
                // It counts as a round, so that a task that cannot be written is left for later.
                self.controller_failed(error, move |core| core.next_round(draft, String::new()))
            }
            (Phase::Consolidating { told, then }, Event::ControllerAnswered { reply }) => {
                self.count(&reply);
                self.drawn(&reply, &told, then)
            }
            (Phase::Consolidating { then, .. }, Event::ControllerFailed { error }) => {
                self.controller_failed(error, move |core| core.resume(then))
            }
            (Phase::Comparing(comparison), Event::Recalled { memories, .. }) => {
                self.met(comparison, memories)
            }
            (Phase::Comparing(comparison), Event::ControllerAnswered { reply }) => {
                self.count(&reply);
                self.compared(&comparison, &reply)
            }
            (Phase::Comparing(comparison), Event::ControllerFailed { error }) => {
                self.controller_failed(error, move |core| core.consolidated(&comparison, Vec::new()))
            }
            (_, Event::ControllerFailed { error }) => self.controller_failed(error, Self::decide),
            (phase, _) => {
                self.phase = phase;
                Vec::new()
            }
        }
    }

    /// What the run has used up so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What is known of the skills.
    pub fn library(&self) -> &LibraryState {
        &self.library
    }

    /// The environment as it described itself.
    pub fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    /// Where what the run writes comes from.
    pub fn origin(&self) -> &RunOrigin {
        &self.origin
    }

    /// The settings.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    fn reset(&mut self) -> Vec<Effect> {
        let index = self.episode.index;
        let seed = if self.config.episodes.is_empty() {
            self.suited(seeds::world(self.config.seed, "episode", index), index)
        } else {
            match usize::try_from(index).ok().and_then(|index| self.config.episodes.get(index)) {
                Some(seed) => *seed,
                None => return self.finish(FinishReason::Episodes),
            }
        };
        self.episode.seed = seed;
        self.episode.done.clear();
        self.episode.plan.clear();
        self.episode.steps = 0;
        self.episode_over = false;
        self.begun_anew = None;
        self.phase = Phase::Resetting;
        vec![Effect::StartEpisode { seed }]
    }

    /// `seed`, or the one next to it whose episode is about a task that may be asked for: these take turns.
    fn suited(&self, seed: u64, index: u64) -> u64 {
        let only = &self.config.tasks;
        let kinds: Vec<_> =
            self.planner.tasks().filter(|task| only.is_empty() || only.contains(&task.name)).collect();
        let turn = usize::try_from(index % kinds.len().max(1) as u64).unwrap_or_default();
        let episodes = kinds.get(turn).and_then(|task| task.episodes);
        episodes.map_or(seed, |episodes| episodes.at_or_before(seed))
    }

    fn next_episode(&mut self, cause: String) -> Vec<Effect> {
        let ended = Milestone::EpisodeEnded {
            cause,
            achievements: self.episode.done.len(),
            steps: self.episode.steps,
        };
        self.totals.episodes += 1;
        self.episode.index += 1;
        self.episode_over = true;
        let mut effects = vec![Effect::ReportMilestone { milestone: ended }];
        effects.extend(match (self.over_budget(), self.teaches()) {
            (Some(reason), _) => self.finish(reason),
            (None, true) => self.consolidate(Resume::NextEpisode),
            (None, false) => self.reset(),
        });
        effects
    }

    /// What comes next in the episode.
    fn decide(&mut self) -> Vec<Effect> {
        if let Some(reason) = self.over_budget() {
            return self.finish(reason);
        }
        if self.episode.steps >= self.config.episode_steps {
            return self.next_episode("time is up".to_owned());
        }
        if let Some(effects) = self.retest_callers() {
            return effects;
        }
        if let Some(call) = self.episode.plan.pop_front() {
            return self.act(call);
        }
        if self.overflows() {
            return self.consolidate(Resume::Decide);
        }
        if !self.config.library {
            return self.improvise();
        }
        self.propose()
    }

    /// How long the run has been going on, without the time it lay still.
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.now_ms - self.started_ms - self.paused_ms).unwrap_or(0)
    }

    fn over_budget(&self) -> Option<FinishReason> {
        let Budgets { steps, time_ms, tokens, tool_calls, cost } = self.config.budgets;
        let elapsed = self.elapsed_ms();
        if steps.is_some_and(|limit| self.totals.steps >= limit) {
            Some(FinishReason::Steps)
        } else if time_ms.is_some_and(|limit| elapsed >= limit) {
            Some(FinishReason::Time)
        } else if tokens.is_some_and(|limit| self.totals.tokens >= limit) {
            Some(FinishReason::Tokens)
        } else if tool_calls.is_some_and(|limit| self.totals.tool_calls >= limit) {
            Some(FinishReason::ToolCalls)
        } else if cost.is_some_and(|limit| self.totals.cost >= limit) {
            Some(FinishReason::Cost)
        } else {
            None
        }
    }

    fn finish(&mut self, reason: FinishReason) -> Vec<Effect> {
        self.phase = Phase::Finished;
        vec![Effect::Finish { reason }]
    }

    fn controller_failed(
        &mut self,
        error: String,
        otherwise: impl FnOnce(&mut Self) -> Vec<Effect>,
    ) -> Vec<Effect> {
        self.controller_failures += 1;
        if self.controller_failures >= CONTROLLER_PATIENCE {
            return self.finish(FinishReason::Controller { error });
        }
        otherwise(self)
    }

    fn count(&mut self, reply: &Reply) {
        self.controller_failures = 0;
        self.totals.tokens += u64::from(reply.usage.completion_tokens);
        self.totals.prompt_tokens +=
            u64::from(reply.usage.prompt_tokens.saturating_sub(reply.usage.cached_tokens));
        if let Some(prices) = &self.config.prices {
            let usage = &reply.usage;
            let read = f64::from(usage.prompt_tokens.saturating_sub(usage.cached_tokens));
            let spent = read * prices.prompt
                + f64::from(usage.cached_tokens) * prices.cached
                + f64::from(usage.completion_tokens) * prices.completion;
            self.totals.cost += spent / 1e6;
        }
    }

    fn think(&mut self, purpose: Purpose, request: sojourn_controller::Request, phase: Phase) -> Vec<Effect> {
        self.phase = phase;
        vec![Effect::AskController { purpose, request }]
    }

    fn request_seed(&mut self) -> u64 {
        self.requests += 1;
        seeds::draw(self.config.seed, "request", self.requests)
    }
}
