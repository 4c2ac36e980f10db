//! Writing a skill: exploration, preparation, rounds of candidates, and giving up.

mod admission;
mod candidates;
mod recipes;

pub(crate) use candidates::trial_calls;

use super::acting::AfterReflection;
use super::{Core, Phase, prompts, seeds};
use crate::ExplorationConfig;
use crate::model::{Demonstration, Effect, ExplorationPlan, Milestone, Purpose};
use sojourn_synthesis::{PLAY_RULES, QUIET_EPISODES};
use std::collections::BTreeSet;

/// Other episodes of a task whose first observations are shown, in a world with a question.
const OTHER_EPISODES: u64 = 2;
/// Demonstrations shown.
const DEMONSTRATIONS: usize = 2;
/// Lessons looked up before a skill is written.
const LESSONS: usize = 2;
/// Rounds after which a task is left for later if no candidate passed in any world.
const HOPELESS: u32 = 2;
/// Most skills of other tasks that are tried on a task.
const RELATED_SKILLS: usize = 16;
/// How often the episodes of an exploration are doubled, at most.
const MOST_DOUBLINGS: u32 = 3;

/// A skill on its way to the library.
pub(super) struct Draft {
    pub(super) task: String,
    /// Rounds of writing so far.
    round: u32,
    /// Causal notes of the rounds before, and recalled lessons.
    notes: Vec<String>,
    /// First observations of other episodes of the task.
    other_observations: Vec<String>,
    /// What reached the goal by random exploration, one sentence each.
    demonstrations: Vec<String>,
    /// Sources tried so far: the same program is not tried twice.
    tried: Vec<String>,
    /// Sources under trial.
    candidates: Vec<String>,
    /// Names of the tools outside the world that it may call.
    tools: Vec<String>,
    /// Whether a candidate of the controller passed in some world.
    promising: bool,
    /// Whether the teacher writes, because the controller gave up.
    taught: bool,
    author: Author,
}

impl Draft {
    /// Rounds of writing so far.
    pub(super) fn round(&self) -> u32 {
        self.round
    }
}

/// Where the candidates under trial come from.
enum Author {
    /// The controller wrote them.
    Controller,
    /// They were printed from the recipe.
    Recipe,
    /// Exploration found them; they may call these skills of other tasks.
    Exploration { skills: Vec<String> },
}

impl Core {
    /// Starts with random exploration, where the run and the world allow it.
    pub(super) fn start_writing(&mut self, task: &str) -> Vec<Effect> {
        let mut draft = Draft {
            task: task.to_owned(),
            round: 0,
            notes: self.repair_note(task).into_iter().collect(),
            other_observations: Vec::new(),
            demonstrations: Vec::new(),
            tried: Vec::new(),
            candidates: Vec::new(),
            tools: Vec::new(),
            promising: false,
            taught: false,
            author: Author::Controller,
        };
        let explorable = self.spec.exploration.is_some() || self.plays(task);
        match &self.config.explore {
            Some(limits) if limits.episodes > 0 && explorable => {
                self.explorations += 1;
                let purpose = format!("{task}: explore {}", self.explorations);
                let seeds = (0..self.episodes_of_exploration(task, limits))
                    .map(|i| self.practice_seed(task, &purpose, i));
                let skills = self.related_skills(task);
                let plan = ExplorationPlan {
                    task: task.to_owned(),
                    seeds: seeds.collect(),
                    actions: limits.actions,
                    steps: self.spec.call_steps(self.config.actor.trial_steps),
                    successes: limits.successes,
                    known_skills: skills.clone(),
                    quiet: (self.config.rules >= 4).then_some(QUIET_EPISODES),
                    play_rules: match self.config.rules {
                        ..=6 => 0,
                        7 => 1,
                        8 => 2,
                        _ => PLAY_RULES,
                    },
                };
                draft.author = Author::Exploration { skills };
                self.phase = Phase::Exploring(draft);
                vec![Effect::Explore { plan }]
            }
            _ => self.follow_recipe(draft),
        }
    }

    /// Episodes of the next exploration for a task. Where play found ways to the goal and no program that goes them everywhere, more
    /// worlds are needed to tell what matters: twice as many each time. Play runs its programs in twice as many others.
    fn episodes_of_exploration(&self, task: &str, limits: &ExplorationConfig) -> u64 {
        let vain = match self.vain_explorations.get(task) {
            Some(vain) if self.config.rules >= 7 && self.plays(task) => (*vain).min(MOST_DOUBLINGS),
            _ => 0,
        };
        let with_programs = if self.config.rules >= 9 && self.plays(task) { 3 } else { 1 };
        (u64::from(limits.episodes) << vain) * with_programs
    }

    /// Whether play looks for a way to do the task: no recipe documents one.
    fn plays(&self, task: &str) -> bool {
        self.spec.play && self.spec.recipes.iter().all(|recipe| recipe.task != task)
    }

    /// Tries the programs that exploration found like any other candidates; without programs the controller writes some.
    pub(super) fn explored(
        &mut self,
        mut draft: Draft,
        demonstrations: &[Demonstration],
        sources: Vec<String>,
    ) -> Vec<Effect> {
        let Some(task) = self.planner.task(&draft.task).cloned() else { return self.decide() };
        let world = self.planner.world_text();
        let shown = demonstrations.iter().take(DEMONSTRATIONS);
        draft.demonstrations = shown.map(|each| prompts::demonstration(world, each)).collect();
        let skills = match &draft.author {
            Author::Exploration { skills } if !sources.is_empty() => skills.clone(),
            _ => return self.survey(draft),
        };
        draft.tried.extend(sources.iter().cloned());
        draft.candidates.clone_from(&sources);
        let plan = self.trial_plan(&task, sources, skills);
        self.phase = Phase::Trying(draft);
        vec![Effect::TryCandidates { plan }]
    }

    /// Skills of other tasks, those first whose names share most words with this task's name. Skills that call others are
    /// left out, so no chain of calls leads back to the task.
    fn related_skills(&self, task: &str) -> Vec<String> {
        let words = |name: &str| name.split('_').map(str::to_owned).collect::<BTreeSet<_>>();
        let of_task = words(task);
        let mut related: Vec<&str> = self
            .library
            .all_active()
            .filter(|entry| {
                !entry.is_reflex() && entry.name() != task && self.library.resolve(task) != entry.name()
            })
            .map(|entry| &entry.skill.manifest)
            .filter(|skill| skill.environment == self.spec.name)
            .filter(|skill| {
                skill.parameters.is_empty() && self.library.prerequisites(&skill.calls).is_empty()
            })
            .map(|skill| skill.name.as_str())
            .collect();
        related.sort_by_key(|name| std::cmp::Reverse(words(name).intersection(&of_task).count()));
        related.into_iter().take(RELATED_SKILLS).map(str::to_owned).collect()
    }

    /// Observes how other episodes start, in a world with a question.
    fn survey(&mut self, mut draft: Draft) -> Vec<Effect> {
        draft.author = Author::Controller;
        if self.config.actor.rounds == 0 {
            if self.config.teacher.is_none() {
                return self.give_up(&draft);
            }
            draft.taught = true;
        }
        if self.spec.question.is_none() {
            return self.prepare(draft);
        }
        let task = draft.task.as_str();
        // Not the worlds of the trials: a candidate must not be written from what it is tried on.
        let purpose = format!("{task}: what is seen");
        let seeds = (0..OTHER_EPISODES).map(|i| self.practice_seed(task, &purpose, i)).collect();
        let survey = Effect::ObserveStarts { task: task.to_owned(), seeds };
        self.phase = Phase::Surveying(draft);
        vec![survey]
    }

    pub(super) fn surveyed(&mut self, mut draft: Draft, observations: Vec<String>) -> Vec<Effect> {
        draft.other_observations = observations;
        self.prepare(draft)
    }

    /// The seed of a practice world in which the task can be done.
    fn practice_seed(&self, task: &str, purpose: &str, index: u64) -> u64 {
        let seed = seeds::world(self.config.seed, purpose, index);
        let episodes = self.planner.task(task).and_then(|task| task.episodes);
        episodes.map_or(seed, |episodes| episodes.at_or_before(seed))
    }

    /// Recalls lessons and picks tools for the first round, where there are any.
    fn prepare(&mut self, draft: Draft) -> Vec<Effect> {
        let tools = self.reading_tools_to_pick();
        if !self.config.memory && tools.is_none() {
            return self.write(draft, &[], &[]);
        }
        let query = format!("{}: lesson for writing the skill", draft.task);
        let limit = if self.config.memory { LESSONS } else { 0 };
        self.phase = Phase::Preparing(draft);
        vec![Effect::Recall { query, limit, lessons: false, tools }]
    }

    /// Writes again with a note about the round before, or gives the task up after the last round.
    pub(super) fn next_round(&mut self, mut draft: Draft, note: Option<String>) -> Vec<Effect> {
        draft.notes.extend(note.filter(|note| !draft.notes.contains(note)));
        draft.round += 1;
        let over = self.over_budget().is_some();
        let rounds = match &self.config.teacher {
            Some(teacher) if draft.taught => teacher.rounds,
            _ if self.config.rules >= 4 && !draft.promising => self.config.actor.rounds.min(HOPELESS),
            _ => self.config.actor.rounds,
        };
        if draft.round < rounds && !over {
            return self.write(draft, &[], &[]);
        }
        if self.config.teacher.is_some() && !draft.taught && !over {
            (draft.taught, draft.round) = (true, 0);
            return self.write(draft, &[], &[]);
        }
        self.give_up(&draft)
    }

    /// Leaves a task for later. After at least one round of writing, the controller draws a lesson from it.
    fn give_up(&mut self, draft: &Draft) -> Vec<Effect> {
        self.curriculum.gave_up_writing(&draft.task);
        if !draft.demonstrations.is_empty() {
            *self.vain_explorations.entry(draft.task.clone()).or_default() += 1;
        }
        self.given_up += 1;
        let mut effects =
            vec![Effect::ReportMilestone { milestone: Milestone::SkillGivenUp { task: draft.task.clone() } }];
        effects.extend(self.credit(false));
        if !self.config.memory || draft.round == 0 || self.over_budget().is_some() {
            effects.extend(self.decide());
            return effects;
        }
        let seed = self.request_seed();
        let request = prompts::reflect_on_giving_up(&self.spec, &draft.task, draft.round, &draft.notes, seed);
        let then = AfterReflection::Decide { task: draft.task.clone() };
        effects.extend(self.think(Purpose::Reflect, request, Phase::Reflecting { then }));
        effects
    }
}
