//! From one episode to the next, and from one decision to the next within an episode.

use super::consolidating::Resume;
use super::{Core, Phase, seeds};
use crate::model::{Effect, FinishReason, Milestone};

impl Core {
    /// Asks for the next episode, or ends the run after the last one.
    pub(super) fn reset(&mut self) -> Vec<Effect> {
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
        let only = &self.config.tasks;
        let kinds: Vec<_> =
            self.planner.tasks().filter(|task| only.is_empty() || only.contains(&task.name)).collect();
        let turn = usize::try_from(index % kinds.len().max(1) as u64).unwrap_or_default();
        let episodes = kinds.get(turn).and_then(|task| task.episodes);
        episodes.map_or(seed, |episodes| episodes.at_or_before(seed))
    }

    /// Ends the episode for `cause`. Lessons are drawn from it before the next one starts.
    pub(super) fn next_episode(&mut self, cause: String) -> Vec<Effect> {
        let ended = Milestone::EpisodeEnded {
            cause,
            achievements: self.episode.achieved.len(),
            steps: self.episode.steps,
        };
        self.totals.episodes += 1;
        self.episode.index += 1;
        self.episode.over = true;
        let mut effects = vec![Effect::ReportMilestone { milestone: ended }];
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
