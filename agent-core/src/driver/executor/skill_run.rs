//! The result of running one skill, and the tally that it is made of.

use super::ExecutorError;
use crate::model::{ActReport, CallTrace, Moment, SkillUse, Unlocked};
use serde_json::Value;
use sojourn_primitives::JsonPointer;
use sojourn_sandbox::CallError;
use sojourn_tools::{Ending, EndingKind, Observation};
use std::collections::{BTreeSet, VecDeque};

/// The result of one call of a skill.
#[derive(Debug)]
pub struct SkillRun {
    /// What stopped it, if it did not return by itself.
    pub error: Option<CallError>,
    /// Whether its goal was reached.
    pub verified: bool,
    /// The state before.
    pub before: Value,
    /// The state after.
    pub after: Value,
    /// Environment steps taken.
    pub steps: u32,
    /// The sum of their rewards.
    pub reward: f64,
    /// Those that reflexes took.
    pub reflex_steps: u32,
    /// Achievements unlocked.
    pub unlocked: Vec<Unlocked>,
    /// Every skill that ran, callees included.
    pub skills: Vec<SkillUse>,
    /// The calls it made: the first few and the last ones.
    pub trace: Vec<CallTrace>,
    /// How many calls it made.
    pub calls: u32,
    /// How many of them went to tools that do not belong to the environment.
    pub consulted: u32,
    /// Whether content from outside may have influenced it: an answer that the policy does not trust, or a skill made of one.
    pub from_outside: bool,
    /// The last moments, the latest last.
    pub moments: Vec<Moment>,
    /// The sum of the vitals' decreases, whatever they gained again.
    pub harm: f64,
    /// The watched counters that changed, sorted.
    pub touched: Vec<JsonPointer>,
    /// Set if the episode ended.
    pub ended: Option<Ending>,
}

impl SkillRun {
    /// Whether the skill ended by itself. Where reaching the goal ends the episode, that counts as its own end.
    pub fn finished(&self) -> bool {
        match &self.error {
            None => true,
            Some(CallError::Stopped { .. }) => {
                self.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Succeeded)
            }
            Some(_) => false,
        }
    }
}

/// Counts and observations of a run so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) steps: u32,
    pub(super) reward: f64,
    pub(super) reflex_steps: u32,
    /// Steps of habits.
    pub(super) habit_steps: u32,
    pub(super) harm: f64,
    pub(super) touched: BTreeSet<JsonPointer>,
    pub(super) unlocked: Vec<Unlocked>,
    pub(super) skills: Vec<SkillUse>,
    pub(super) trace: Vec<CallTrace>,
    pub(super) calls: u32,
    pub(super) consulted: u32,
    pub(super) moments: VecDeque<Moment>,
    pub(super) ended: Option<Ending>,
    /// Why the run must end with an error: the environment or the recorder failed, or somebody interrupted it.
    pub(super) failed: Option<ExecutorError>,
}

impl Tally {
    /// The steps that the skill took itself, or a reflex while it acted.
    pub(super) fn own_steps(&self) -> u32 {
        self.steps - self.habit_steps
    }

    /// The result of the run that this is the tally of.
    pub(super) fn into_run(
        self,
        error: Option<CallError>,
        verified: bool,
        before: Value,
        after: Value,
        from_outside: bool,
    ) -> SkillRun {
        SkillRun {
            error,
            verified,
            before,
            after,
            steps: self.steps,
            reward: self.reward,
            reflex_steps: self.reflex_steps,
            unlocked: self.unlocked,
            skills: self.skills,
            trace: self.trace,
            calls: self.calls,
            consulted: self.consulted,
            from_outside,
            moments: self.moments.into(),
            harm: self.harm,
            touched: self.touched.into_iter().collect(),
            ended: self.ended,
        }
    }
}

impl ActReport {
    /// The report of a run, with the observation after it.
    pub(in crate::driver) fn of(run: SkillRun, observation: Observation) -> Self {
        Self {
            observation,
            error: run.error,
            steps: run.steps,
            reflex_steps: run.reflex_steps,
            unlocked: run.unlocked,
            skills: run.skills,
            trace: run.trace,
            calls: run.calls,
            consulted: run.consulted,
            moments: run.moments,
            ended: run.ended,
        }
    }
}
