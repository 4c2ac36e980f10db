//! The next task to do or to learn: a prerequisite graph with success rates and back-off.
//!
//! VOYAGER (arXiv 2305.16291, section 2.1) asks a frontier model for the next task. A small model repeats itself and asks for
//! the impossible, so code computes the feasible and novel tasks, and the model chooses one of a few. A task that was done in
//! this episode is never among them.

use super::planner::Planner;
use super::seeds::draw;
use serde::{Deserialize, Serialize};
use sojourn_tools::TaskSpec;
use std::collections::{BTreeMap, BTreeSet};

/// The records of all tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curriculum {
    tasks: BTreeMap<String, TaskRecord>,
    /// Prerequisites learned from failures, beyond those of the recipes.
    learned_edges: BTreeMap<String, BTreeSet<String>>,
    /// Number of decisions so far; the unit of back-off.
    decision: u64,
}

/// The record of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Times its skill was run in an episode.
    pub runs: u32,
    /// Runs whose goal was reached.
    pub successes: u32,
    /// Environment steps spent on it in episodes.
    pub steps: u64,
    /// Failed attempts to write a skill since the last success.
    pub failed_writes: u32,
    /// Failed runs in the present episode.
    pub episode_failures: u32,
    /// Not proposed for writing before this decision.
    pub back_off_until: u64,
}

/// A proposal of the curriculum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "task", rename_all = "snake_case")]
pub enum Proposal {
    /// Run the admitted skill of this task.
    Do(String),
    /// Write a skill for this task.
    Learn(String),
}

/// The inputs of the proposals besides the curriculum's own records.
pub struct Situation<'a> {
    /// The world's tasks and recipes.
    pub planner: &'a Planner,
    /// Tasks with an admitted skill, with the mean environment steps of its trials.
    pub skills: &'a BTreeMap<String, f64>,
    /// Tasks done in this episode.
    pub done: &'a BTreeSet<String>,
    /// Whether new skills may be written.
    pub learning: bool,
    /// The tasks that may be proposed; all when empty.
    pub only: &'a [String],
    /// The episode's seed.
    pub seed: u64,
    /// Whether tasks with equally many prerequisites are learned in the order of the environment, not of their names.
    pub in_order: bool,
    /// The run's seed where the next task to learn is drawn from all of them, prerequisites or not.
    pub drawn: Option<u64>,
}

impl Situation<'_> {
    fn allows(&self, task: &TaskSpec) -> bool {
        task.is_in(self.seed) && (self.only.is_empty() || self.only.contains(&task.name))
    }
}

/// Failures in one episode after which a task is set aside until the next.
const EPISODE_PATIENCE: u32 = 3;

impl Proposal {
    /// The proposed task.
    pub fn task(&self) -> &str {
        match self {
            Self::Do(task) | Self::Learn(task) => task,
        }
    }
}

impl Curriculum {
    /// At most `limit` feasible and novel proposals, the most promising first.
    ///
    /// Doing is ranked by expected achievements per step, `p / (steps + 10)`, with `p` the Laplace-smoothed
    /// success rate. Learning comes before doing, tasks with the fewest prerequisites first.
    pub fn proposals(&self, situation: &Situation<'_>, limit: usize) -> Vec<Proposal> {
        let learn = if situation.learning { self.learnable(situation) } else { Vec::new() };
        let mut doable: Vec<(f64, &str)> = Vec::new();
        let achievements = situation.planner.tasks().filter(|task| task.achievement);
        for task in achievements.filter(|task| situation.allows(task)) {
            let name = task.name.as_str();
            let record = self.tasks.get(name).cloned().unwrap_or_default();
            let Some(trial_steps) = situation.skills.get(name) else { continue };
            if situation.done.contains(name) || record.episode_failures >= EPISODE_PATIENCE {
                continue;
            }
            if !self.prerequisites(situation.planner, name).iter().all(|p| situation.skills.contains_key(p)) {
                continue;
            }
            doable.push((record.promise(*trial_steps), name));
        }
        doable.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let learn_slots = if doable.is_empty() { limit } else { limit.div_ceil(2) };
        let mut proposals: Vec<Proposal> = learn.into_iter().take(learn_slots).map(Proposal::Learn).collect();
        let room = limit.saturating_sub(proposals.len());
        proposals.extend(doable.into_iter().take(room).map(|(_, name)| Proposal::Do(name.to_owned())));
        proposals
    }

    /// Tasks without a skill whose prerequisites all have one and that are not in back-off.
    fn learnable(&self, situation: &Situation<'_>) -> Vec<String> {
        let mut names: Vec<(usize, usize, &str)> = situation
            .planner
            .tasks()
            .filter(|task| situation.allows(task))
            .map(|task| task.name.as_str())
            .filter(|name| !situation.skills.contains_key(*name))
            .filter(|name| self.tasks.get(*name).is_none_or(|record| record.back_off_until <= self.decision))
            .filter(|name| {
                situation.drawn.is_some()
                    || self
                        .prerequisites(situation.planner, name)
                        .iter()
                        .all(|p| situation.skills.contains_key(p))
            })
            .map(|name| {
                if let Some(seed) = situation.drawn {
                    let draw = draw(seed, name, self.decision);
                    return (usize::try_from(draw >> 1).unwrap_or(usize::MAX), 0, name);
                }
                let place = if situation.in_order { situation.planner.place(name) } else { 0 };
                (self.effort(situation.planner, name), place, name)
            })
            .collect();
        names.sort_unstable();
        names.into_iter().map(|(_, _, name)| name.to_owned()).collect()
    }

    fn effort(&self, planner: &Planner, task: &str) -> usize {
        let failed = self.tasks.get(task).map_or(0, |record| record.failed_writes as usize);
        planner.closure(task).len() + 4 * failed
    }

    /// The prerequisites of `task`: documented ones and those learned from failures.
    pub fn prerequisites(&self, planner: &Planner, task: &str) -> BTreeSet<String> {
        let mut all = planner.prerequisites(task);
        all.extend(self.learned_edges.get(task).into_iter().flatten().cloned());
        all
    }

    /// Adds a prerequisite learned from a failed run of `task`, unless it is known or would make a cycle.
    pub fn learn_edge(&mut self, planner: &Planner, task: &str, prerequisite: &str) {
        let cyclic = task == prerequisite || planner.closure(prerequisite).iter().any(|t| t == task);
        if !cyclic && !planner.closure(task).iter().any(|t| t == prerequisite) {
            self.learned_edges.entry(task.to_owned()).or_default().insert(prerequisite.to_owned());
        }
    }

    /// Counts a decision, which shortens every back-off.
    pub fn decided(&mut self) {
        self.decision += 1;
    }

    /// Makes tasks available again that failed in the last episode.
    pub fn episode_started(&mut self) {
        self.tasks.values_mut().for_each(|record| record.episode_failures = 0);
    }

    /// Counts a run of the task's skill.
    pub fn ran(&mut self, task: &str, verified: bool, steps: u32) {
        let record = self.tasks.entry(task.to_owned()).or_default();
        record.runs += 1;
        record.steps += u64::from(steps);
        if verified {
            record.successes += 1;
        } else {
            record.episode_failures += 1;
        }
    }

    /// Sets `task` aside until the next episode.
    pub fn set_aside(&mut self, task: &str) {
        self.tasks.entry(task.to_owned()).or_default().episode_failures = EPISODE_PATIENCE;
    }

    /// Backs off from writing a skill for `task`, for twice as many decisions as the time before.
    pub fn gave_up_writing(&mut self, task: &str) {
        let decision = self.decision;
        let record = self.tasks.entry(task.to_owned()).or_default();
        record.failed_writes += 1;
        record.back_off_until = decision + (4 << record.failed_writes.min(6));
    }

    /// Ends every back-off.
    pub fn end_back_off(&mut self) {
        self.tasks.values_mut().for_each(|record| record.back_off_until = 0);
    }

    /// Ends the back-off after a skill for `task` was admitted.
    pub fn learned(&mut self, task: &str) {
        let record = self.tasks.entry(task.to_owned()).or_default();
        record.failed_writes = 0;
        record.back_off_until = 0;
    }

    /// The task's record.
    pub fn record(&self, task: &str) -> TaskRecord {
        self.tasks.get(task).cloned().unwrap_or_default()
    }
}

impl TaskRecord {
    /// Expected achievements per step, halved for each failure in this episode.
    fn promise(&self, trial_steps: f64) -> f64 {
        let rate = (f64::from(self.successes) + 1.0) / (f64::from(self.runs) + 2.0);
        // Trials count as two runs, so that one unlucky episode does not decide.
        let steps = (2.0 * trial_steps + self.steps as f64) / (2.0 + f64::from(self.runs));
        rate / (steps + 10.0) * 0.5_f64.powi(self.episode_failures.try_into().unwrap_or(i32::MAX))
    }
}
