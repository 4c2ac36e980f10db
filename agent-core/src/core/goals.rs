//! The user's goals: what those in words mean, and those that come while a run is under way.

pub use super::prompts::goal::{GoalMeaning, GoalQuestion};

use super::Core;
use super::planner::Planner;
use serde_json::Map;
use sojourn_tools::TaskSpec;

impl Core {
    /// Takes up a goal: its task stands before the world's own, and is tried again if it was given up.
    pub(super) fn add_goal(&mut self, task: &TaskSpec, only: &[String]) {
        if self.planner.task(&task.name).is_none() {
            self.spec.tasks.insert(0, task.clone());
            self.planner = Planner::by_rules(&self.spec, self.config.rules);
            self.added_goals.insert(task.name.clone());
        }
        self.config.allow_tasks(only);
        self.curriculum.learned(&task.name);
        self.uneventful = 0;
    }

    /// Notes which goals of people were reached since the episode began. The world does not know of them.
    pub(super) fn note_goals(&mut self, called: &str, verified: bool) {
        let (first, now) = (&self.episode.first, &self.episode.observation.state);
        let none = Map::new();
        let reached = |task: &TaskSpec| {
            let held = task.goal.holds(first, first, &none).unwrap_or(false);
            (verified && task.name == called)
                || (!held && task.goal.holds(first, now, &none).unwrap_or(false))
        };
        let open = self.added_goals.iter().filter(|name| !self.episode.done.contains(*name));
        let done: Vec<String> =
            open.filter(|name| self.planner.task(name).is_some_and(reached)).cloned().collect();
        for name in done {
            self.news |= self.unlocked.insert(name.clone());
            self.episode.achieved.insert(name.clone());
            self.episode.done.insert(name);
        }
    }
}
