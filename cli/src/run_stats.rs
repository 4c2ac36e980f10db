//! Statistics of a run, folded from the notices that the driver sends its observer.

use crate::logbook;
use serde::Serialize;
use sojourn_core::{Event, LongWork, Milestone, Notice, Purpose, SkillEvent};
use sojourn_tools::{Ending, EndingKind};
use std::collections::BTreeMap;

/// The statistics of a run up to now.
#[derive(Debug, Clone, Default)]
pub struct RunStats {
    /// Episodes in order; the last one may not be over.
    pub episodes: Vec<Episode>,
    /// Environment steps of all episodes.
    pub steps: u64,
    /// The first unlock of each achievement, by its name.
    pub first: BTreeMap<String, First>,
    /// Names of admitted skills and reflexes, in order of admission.
    pub skills: Vec<String>,
    /// The current task: "learning `collect_wood`".
    pub task: Option<String>,
    /// What takes the time at the moment.
    pub activity: Activity,
    /// Generated tokens and the milliseconds that generating took, since the run was started or resumed.
    pub generated: (u64, u64),
}

/// What a run is busy with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Activity {
    /// A skill runs or is about to.
    #[default]
    Acting,
    /// The model answers.
    Thinking {
        /// Why it was asked.
        purpose: Purpose,
        /// The round of writing, from 1, and the largest number of rounds.
        round: Option<(u32, u32)>,
    },
    /// Candidates run in practice worlds.
    Practising {
        /// The part of the work that began last, and the largest number of parts.
        part: Option<(LongWork, usize, usize)>,
    },
}

/// The statistics of one episode.
#[derive(Debug, Clone, Serialize)]
pub struct Episode {
    /// The seed of the episode's world.
    pub seed: u64,
    /// Environment steps, including those of reflexes.
    pub steps: u64,
    /// Environment steps that reflexes took.
    pub reflex_steps: u64,
    /// The sum of the environment's rewards.
    pub reward: f64,
    /// The tasks that were tried, by their names.
    pub tasks: BTreeMap<String, TaskTries>,
    /// Achievements in order, each with the step of the episode at which it was unlocked.
    pub unlocked: Vec<(String, u64)>,
    /// How the environment ended the episode; `None` if it did not.
    pub ending: Option<Ending>,
    /// Whether the episode is over, for whatever reason.
    pub is_over: bool,
}

/// What came of a task in one episode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TaskTries {
    /// Times it was tried.
    pub tries: u32,
    /// Tries that reached its goal.
    pub reached: u32,
    /// Environment steps of the tries that reached its goal.
    pub steps: u64,
}

/// The first unlock of an achievement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct First {
    /// The step of the run, counted from 1.
    pub step: u64,
    /// The number of the episode, counted from 1.
    pub episode: usize,
}

impl Episode {
    /// An episode without steps.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            steps: 0,
            reflex_steps: 0,
            reward: 0.0,
            tasks: BTreeMap::new(),
            unlocked: Vec::new(),
            ending: None,
            is_over: false,
        }
    }

    /// Whether a task's goal was reached, or the environment counted it as an achievement.
    pub fn reached(&self, task: &str) -> bool {
        self.tasks.get(task).is_some_and(|tries| tries.reached > 0)
            || self.unlocked.iter().any(|(name, _)| name == task)
    }

    /// Whether the agent died.
    pub fn died(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.kind == EndingKind::Died)
    }
}

impl RunStats {
    /// Counts one notice.
    pub fn note(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Episode { seed } => self.begin(*seed),
            Notice::Milestone { milestone, .. } => self.milestone(milestone),
            Notice::ControllerAnswered { event, .. } => {
                self.activity = Activity::Acting;
                if let Event::ControllerAnswered { reply } = event {
                    self.generated.0 += u64::from(reply.usage.completion_tokens);
                    self.generated.1 += reply.timing.decode_ms;
                }
            }
            Notice::AskingController { purpose, round } => {
                self.activity = Activity::Thinking { purpose: *purpose, round: *round };
            }
            Notice::Trials { .. } => self.activity = Activity::Practising { part: None },
            Notice::Advanced { work, number, of } => {
                self.activity = Activity::Practising { part: Some((*work, *number, *of)) };
            }
            Notice::BudgetNearlyUsed { .. } => {}
            Notice::Skill { event, .. } => {
                self.activity = Activity::Acting;
                if let SkillEvent::Stepped(step) = event {
                    let reflex = step.reflex.is_some();
                    self.step(reflex, &step.unlocked, step.ended.as_ref());
                    if let Some(episode) = self.episodes.last_mut() {
                        episode.reward += step.reward;
                    }
                }
            }
        }
    }

    /// Counts the beginning of an episode.
    pub fn begin(&mut self, seed: u64) {
        self.episodes.push(Episode::new(seed));
    }

    /// Counts one environment step.
    pub fn step(&mut self, by_reflex: bool, unlocked: &[String], ended: Option<&Ending>) {
        self.steps += 1;
        let number = self.episodes.len();
        let Some(episode) = self.episodes.last_mut() else { return };
        episode.steps += 1;
        episode.reflex_steps += u64::from(by_reflex);
        episode.ending = ended.cloned();
        for name in unlocked {
            episode.unlocked.push((name.clone(), episode.steps));
            self.first.entry(name.clone()).or_insert(First { step: self.steps, episode: number });
        }
    }

    /// Tokens generated per second of generating.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let (tokens, milliseconds) = self.generated;
        (milliseconds > 0).then(|| tokens as f64 * 1000.0 / milliseconds as f64)
    }

    fn milestone(&mut self, milestone: &Milestone) {
        match milestone {
            Milestone::TaskChosen { .. } => self.task = Some(logbook::milestone_line(milestone)),
            Milestone::SkillAdmitted { skill, .. } | Milestone::ReflexAdmitted { reflex: skill, .. } => {
                self.skills.push(skill.clone());
            }
            Milestone::TaskDone { task, verified, steps } => {
                self.task = None;
                let Some(episode) = self.episodes.last_mut() else { return };
                let tries = episode.tasks.entry(task.clone()).or_default();
                tries.tries += 1;
                if *verified {
                    tries.reached += 1;
                    tries.steps += u64::from(*steps);
                }
            }
            Milestone::EpisodeEnded { .. } => {
                self.task = None;
                if let Some(episode) = self.episodes.last_mut() {
                    episode.is_over = true;
                }
            }
            Milestone::SkillGivenUp { .. }
            | Milestone::SkillDemoted { .. }
            | Milestone::SkillMerged { .. }
            | Milestone::SkillRetested { .. }
            | Milestone::ReflexGivenUp { .. }
            | Milestone::Nudged { .. }
            | Milestone::NoProgress { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_core::{Noted, StepRecord};
    use sojourn_memory::EventSeq;
    use sojourn_tools::Action;

    const NOTED: Noted = Noted { seq: EventSeq(1), at_ms: 0, replayed: false, foreign: false };

    #[test]
    fn tasks_and_rewards_are_those_of_their_episode() {
        let mut stats = RunStats::default();
        let step = |reward| StepRecord {
            action: Action("go".to_owned()),
            reflex: None,
            change: None,
            nulls: Vec::new(),
            reward,
            unlocked: Vec::new(),
            ended: None,
        };
        let milestone = |stats: &mut RunStats, milestone: &Milestone| {
            stats.note(&Notice::Milestone { milestone, noted: NOTED });
        };
        let done = |verified, steps| Milestone::TaskDone { task: "swim".to_owned(), verified, steps };
        for (reward, verified) in [(1.5, true), (-1.0, false)] {
            stats.note(&Notice::Episode { seed: 1 });
            let event = SkillEvent::Stepped(step(reward));
            stats.note(&Notice::Skill { event: &event, noted: NOTED });
            milestone(&mut stats, &done(verified, 7));
        }
        let ended = Milestone::EpisodeEnded { cause: String::new(), achievements: 0, steps: 1 };
        milestone(&mut stats, &ended);
        let found: Vec<_> =
            stats.episodes.iter().map(|it| (it.reward, it.reached("swim"), it.is_over)).collect();
        assert_eq!(found, [(1.5, true, false), (-1.0, false, true)]);
        assert_eq!(stats.episodes[0].tasks["swim"], TaskTries { tries: 1, reached: 1, steps: 7 });
        assert_eq!(stats.episodes[1].tasks["swim"], TaskTries { tries: 1, reached: 0, steps: 0 });
    }

    #[test]
    fn the_first_time_counts_over_all_episodes() {
        let mut stats = RunStats::default();
        stats.note(&Notice::Episode { seed: 1 });
        stats.step(false, &[], None);
        stats.step(true, &["drink".to_owned()], None);
        stats.note(&Notice::Episode { seed: 2 });
        let died = Ending { kind: EndingKind::Died, cause: "killed by a zombie".to_owned() };
        stats.step(false, &["drink".to_owned(), "sleep".to_owned()], Some(&died));

        assert_eq!(stats.first["drink"], First { step: 2, episode: 1 });
        assert_eq!(stats.first["sleep"], First { step: 3, episode: 2 });
        assert_eq!(stats.episodes[1].unlocked[0], ("drink".to_owned(), 1));
        assert_eq!(
            stats.episodes.iter().map(|e| (e.steps, e.reflex_steps, e.died())).collect::<Vec<_>>(),
            [(2, 1, false), (1, 0, true)]
        );
    }
}
