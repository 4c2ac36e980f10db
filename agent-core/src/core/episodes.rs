//! From one episode to the next, and from one decision to the next within an episode.

use super::consolidating::Resume;
use super::{Core, Phase, seeds};
use crate::model::{Effect, FinishReason, Milestone};
use sojourn_tools::TaskSpec;

impl Core {
    /// Asks for the next episode, or ends the run after the last one.
    pub(super) fn reset(&mut self) -> Vec<Effect> {
        if self.is_uneventful() {
            if self.has_every_skill() {
                return self.finish(FinishReason::NothingNew { episodes: self.uneventful });
            }
            self.curriculum.end_back_off();
            self.uneventful = 0;
        }
        let index = self.episode.index;
        let seed = if self.config.episodes.is_empty() {
            self.seed_with_a_task(seeds::world(self.config.seed, "episode", index), index)
        } else {
            match usize::try_from(index).ok().and_then(|index| self.config.episodes.get(index)) {
                Some(seed) => *seed,
                None => return self.finish(FinishReason::Episodes),
            }
        };
        self.episode.start(seed);
        self.phase = Phase::Resetting;
        vec![Effect::StartEpisode { seed }]
    }

    /// The last seed up to `seed` whose episode has a task that the run may do. Tasks with episodes of their own take turns.
    fn seed_with_a_task(&self, seed: u64, index: u64) -> u64 {
        let kinds: Vec<_> = self.allowed_tasks().collect();
        let turn = usize::try_from(index % kinds.len().max(1) as u64).unwrap_or_default();
        let episodes = kinds.get(turn).and_then(|task| task.episodes);
        episodes.map_or(seed, |episodes| episodes.at_or_before(seed))
    }

    /// Whether `uneventful_episodes` in a row brought nothing new.
    fn is_uneventful(&self) -> bool {
        let config = &self.config;
        let most = config.uneventful_episodes.unwrap_or(0);
        let endless = config.learning && config.episodes.is_empty() && !config.repeat_tasks;
        // Tasks with episodes of their own take turns, and each has to be lived often enough.
        let kinds = self.allowed_tasks().filter(|task| task.episodes.is_some()).count().max(1);
        let most = most.saturating_mul(u32::try_from(kinds).unwrap_or(u32::MAX));
        endless && most > 0 && self.uneventful >= most
    }

    /// Whether every task that the run may do has a skill.
    fn has_every_skill(&self) -> bool {
        let skills = self.skills();
        self.allowed_tasks().all(|task| skills.contains_key(&task.name))
    }

    fn allowed_tasks(&self) -> impl Iterator<Item = &TaskSpec> {
        let only = &self.config.tasks;
        self.planner.tasks().filter(|task| only.is_empty() || only.contains(&task.name))
    }

    /// Counts the episode, which ended for `cause`.
    pub(super) fn end_episode(&mut self, cause: String) -> Effect {
        let ended = Milestone::EpisodeEnded {
            cause,
            achievements: if self.config.rules >= 1 {
                self.episode.achieved.len()
            } else {
                self.episode.done.len()
            },
            steps: self.episode.steps,
        };
        self.totals.episodes += 1;
        self.episode.index += 1;
        self.episode.over = true;
        self.uneventful = if std::mem::take(&mut self.news) { 0 } else { self.uneventful.saturating_add(1) };
        Effect::ReportMilestone { milestone: ended }
    }

    /// Ends the episode for `cause`. Lessons are drawn from it before the next one starts.
    pub(super) fn next_episode(&mut self, cause: String) -> Vec<Effect> {
        let mut effects = vec![self.end_episode(cause)];
        effects.extend(match (self.over_budget(), self.has_lessons_to_draw()) {
            (Some(reason), _) => self.finish(reason),
            (None, true) => self.consolidate(Resume::NextEpisode),
            (None, false) => self.reset(),
        });
        effects
    }

    /// The next step of the episode: stop, test skills again, go on with the plan, draw lessons, or choose.
    pub(super) fn decide(&mut self) -> Vec<Effect> {
        if let Some(reason) = self.over_budget() {
            return self.finish(reason);
        }
        let (mut effects, is_over) = self.unstick();
        if !is_over {
            effects.extend(self.next_decision());
        }
        effects
    }

    fn next_decision(&mut self) -> Vec<Effect> {
        if self.episode.steps >= self.config.episode_steps {
            return self.next_episode("time is up".to_owned());
        }
        if let Some(effects) = self.retest_callers() {
            return effects;
        }
        if let Some(call) = self.episode.plan.pop_front() {
            return self.act(call);
        }
        if self.has_too_much_to_remember() {
            return self.consolidate(Resume::Decide);
        }
        if !self.config.library {
            return self.choose_action();
        }
        self.propose()
    }
}
