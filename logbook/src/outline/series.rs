//! How a run grew: achievements, skills, tokens and steps.

use super::flag;
use serde::Serialize;
use sojourn_core::{ControlRecord, Effect, Event, LogRecord, Milestone, Purpose, SkillEvent};
use std::collections::{BTreeMap, BTreeSet};

/// Points beyond which every second one is dropped, except where something was gained or the agent died; beyond twice as many, also of
/// these.
const MOST_POINTS: usize = 2048;
/// Records between two points in which nothing was gained.
const APART: u64 = 64;

/// The totals of a run after a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct SeriesPoint {
    /// Number of the record after which these are the totals.
    pub seq: u64,
    /// Its time, milliseconds since 1970.
    pub at_ms: i64,
    /// The time that the run had run, in milliseconds of its own clock.
    pub ran_ms: i64,
    /// Environment steps.
    pub steps: u64,
    /// Steps of those that reflexes took.
    pub reflex_steps: u64,
    /// Tokens that the model read, without those from its cache.
    pub read_tokens: u64,
    /// Tokens that the model wrote.
    pub written_tokens: u64,
    /// Milliseconds that the model wrote for.
    pub writing_ms: u64,
    /// Requests to the model.
    pub requests: u64,
    /// Rounds of writing a skill.
    pub rounds: u64,
    /// Distinct achievements.
    pub achievements: u64,
    /// Skills and reflexes in the library that this run admitted.
    pub skills: u64,
    /// Episodes.
    pub episodes: u64,
    /// Deaths.
    pub deaths: u64,
    /// Cost in US dollars, where prices are known.
    pub cost_usd: f64,
}

/// When something happened for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct First {
    /// The achievement or skill.
    pub name: String,
    /// Number of the record in which it happened.
    pub seq: u64,
    /// Environment steps until then.
    pub steps: u64,
    /// The episode, from 1.
    pub episode: u64,
}

#[derive(Debug, Default)]
pub(super) struct Series {
    now: SeriesPoint,
    points: Vec<SeriesPoint>,
    /// Number of points beyond which they are thinned out.
    most: usize,
    achievements: BTreeSet<String>,
    firsts: Vec<First>,
    skills: BTreeSet<String>,
    admitted: Vec<First>,
    tasks: BTreeMap<String, (u64, u64)>,
}

impl Series {
    /// Counts a record; returns whether it is an achievement, as a [`flag`].
    pub(super) fn enter(&mut self, seq: u64, at_ms: i64, ran_ms: i64, record: &LogRecord) -> u8 {
        (self.now.seq, self.now.at_ms, self.now.ran_ms) = (seq, at_ms, ran_ms);
        let (before, mut flags) = (self.now, 0);
        match record {
            LogRecord::SkillEvent(event) => {
                if let SkillEvent::Stepped(step) = &**event {
                    self.now.steps += 1;
                    self.now.reflex_steps += u64::from(step.reflex.is_some());
                    self.now.deaths += u64::from(crate::Teller::is_death(record));
                    for name in &step.unlocked {
                        if self.achievements.insert(name.clone()) {
                            self.firsts.push(self.first(name));
                            flags |= flag::ACHIEVEMENT;
                        }
                    }
                    self.now.achievements = self.achievements.len() as u64;
                }
            }
            LogRecord::Event(event) => match &**event {
                Event::EpisodeStarted { .. } => self.now.episodes += 1,
                Event::ControllerAnswered { reply } => {
                    let usage = &reply.usage;
                    let read = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
                    self.now.read_tokens = self.now.read_tokens.saturating_add(read.into());
                    self.now.written_tokens =
                        self.now.written_tokens.saturating_add(usage.completion_tokens.into());
                    self.now.writing_ms = self.now.writing_ms.saturating_add(reply.timing.decode_ms);
                    self.now.cost_usd += reply.cost_usd.unwrap_or(0.0);
                }
                _ => {}
            },
            LogRecord::Effect(effect) => match &**effect {
                Effect::AskController { purpose, .. } => {
                    self.now.requests += 1;
                    self.now.rounds += u64::from(*purpose == Purpose::Write);
                }
                Effect::ReportMilestone { milestone } => self.milestone(milestone),
                _ => {}
            },
            LogRecord::Started(_) | LogRecord::ToolDecision(_) | LogRecord::ControlRecord(_) => {}
        }
        let gained = what_counts(&self.now) != what_counts(&before);
        // Whoever compares two forks wants the totals where they part.
        let parts = matches!(record, LogRecord::ControlRecord(control) if matches!(**control, ControlRecord::Forked { .. }));
        self.keep(gained || parts);
        flags
    }

    pub(super) fn points(&self) -> &[SeriesPoint] {
        &self.points
    }

    pub(super) fn firsts(&self) -> &[First] {
        &self.firsts
    }

    pub(super) fn admitted(&self) -> &[First] {
        &self.admitted
    }

    pub(super) fn tasks(&self) -> &BTreeMap<String, (u64, u64)> {
        &self.tasks
    }

    fn first(&self, name: &str) -> First {
        First { name: name.to_owned(), seq: self.now.seq, steps: self.now.steps, episode: self.now.episodes }
    }

    fn milestone(&mut self, milestone: &Milestone) {
        match milestone {
            Milestone::SkillAdmitted { skill, .. } | Milestone::ReflexAdmitted { reflex: skill, .. } => {
                if self.skills.insert(skill.clone()) {
                    self.admitted.push(self.first(skill));
                }
            }
            Milestone::SkillDemoted { skill } | Milestone::SkillMerged { skill, .. } => {
                self.skills.remove(skill);
            }
            Milestone::TaskDone { task, verified, .. } => {
                let counts = self.tasks.entry(task.clone()).or_default();
                if *verified { counts.0 += 1 } else { counts.1 += 1 }
            }
            Milestone::SkillGivenUp { task } => self.tasks.entry(task.clone()).or_default().1 += 1,
            Milestone::TaskChosen { .. }
            | Milestone::SkillRetested { .. }
            | Milestone::ReflexGivenUp { .. }
            | Milestone::Nudged { .. }
            | Milestone::NoProgress { .. }
            | Milestone::EpisodeEnded { .. } => {}
        }
        self.now.skills = self.skills.len() as u64;
    }

    /// The latest totals stand at the end; those before them stay where something was gained, or at a distance.
    fn keep(&mut self, gained: bool) {
        let replaced = match self.points[..] {
            [.., before, last] => {
                let was_gain = what_counts(&last) != what_counts(&before);
                !was_gain && !gained && last.seq.saturating_sub(before.seq) < APART
            }
            _ => false,
        };
        if replaced {
            self.points.pop();
        }
        self.points.push(self.now);
        if self.points.len() > self.most.max(MOST_POINTS) {
            self.thin(true);
            // Of a run with thousands of deaths, not even these can all be kept.
            if self.points.len() > 2 * MOST_POINTS {
                self.thin(false);
            }
            // Where most points are gains, thinning them at each of them would take longer than reading the log.
            self.most = self.points.len() + self.points.len() / 2;
        }
    }

    fn thin(&mut self, keeps_gains: bool) {
        let points = std::mem::take(&mut self.points);
        let last = points.len() - 1;
        let gained = |index: usize| {
            let (one, before) = (&points[index], &points[index.saturating_sub(1)]);
            what_counts(one) != what_counts(before)
        };
        let kept =
            |index: &usize| index.is_multiple_of(2) || *index == last || (keeps_gains && gained(*index));
        self.points = (0..points.len()).filter(kept).map(|index| points[index]).collect();
    }
}

/// What a point is kept for: gains, and deaths, so that two futures can be compared at any step.
fn what_counts(point: &SeriesPoint) -> [u64; 3] {
    [point.achievements, point.skills, point.deaths]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_core::StepRecord;
    use sojourn_tools::{Action, Ending, EndingKind};

    #[test]
    fn a_run_with_thousands_of_deaths_keeps_few_points_and_its_last_one() {
        let step = |died: bool| {
            let ended = died.then(|| Ending { kind: EndingKind::Died, cause: "a fall".to_owned() });
            let action = Action("climb".to_owned());
            LogRecord::SkillEvent(Box::new(SkillEvent::Stepped(StepRecord {
                action,
                reflex: None,
                change: None,
                nulls: Vec::new(),
                reward: 0.0,
                unlocked: Vec::new(),
                ended,
            })))
        };
        let (alive, dead) = (step(false), step(true));
        let mut series = Series::default();
        for seq in 1..=100_000 {
            series.enter(seq, 0, 0, if seq % 5 == 0 { &dead } else { &alive });
            assert!(series.points.len() <= 3 * MOST_POINTS + 1, "{seq}: {}", series.points.len());
            let last = series.points.last().unwrap();
            assert_eq!((last.seq, last.steps, last.deaths), (seq, seq, seq / 5));
        }
        assert!(series.points().windows(2).all(|pair| pair[0].seq < pair[1].seq));
        assert!(series.points().len() > MOST_POINTS / 2);
    }
}
