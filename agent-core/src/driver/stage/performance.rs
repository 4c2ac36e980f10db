//! What adds up while a skill runs, and what it came to.

use super::StageError;
use crate::event::{ActReport, CallTrace, Moment, SkillUse, Unlocked};
use serde_json::Value;
use sojourn_sandbox::CallError;
use sojourn_tools::{Ending, EndingKind, Observation, ToolCall};
use std::collections::{BTreeSet, VecDeque};

/// How one call of a skill went.
#[derive(Debug)]
pub struct Performance {
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
    /// Those that reflexes took.
    pub reflex_steps: u32,
    /// What was unlocked.
    pub unlocked: Vec<Unlocked>,
    /// All skills that ran.
    pub skills: Vec<SkillUse>,
    /// The calls it made: the first few and the last ones.
    pub trace: Vec<CallTrace>,
    /// How many calls it made.
    pub calls: u32,
    /// How many of them were to tools that are not the environment's.
    pub consulted: u32,
    /// The last moments, the latest last.
    pub moments: Vec<Moment>,
    /// The sum of what the vitals lost on the way.
    pub harm: f64,
    /// Those of the watched counters that changed, in order.
    pub touched: Vec<String>,
    /// Set if the episode ended.
    pub ended: Option<Ending>,
}

impl Performance {
    /// Whether it came to its own end. Where reaching the goal ends the episode, that is the end.
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

/// What adds up while a skill runs.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) steps: u32,
    pub(super) reflex_steps: u32,
    pub(super) harm: f64,
    pub(super) touched: BTreeSet<String>,
    pub(super) unlocked: Vec<Unlocked>,
    pub(super) skills: Vec<SkillUse>,
    pub(super) trace: Vec<CallTrace>,
    pub(super) calls: u32,
    pub(super) consulted: u32,
    pub(super) moments: VecDeque<Moment>,
    pub(super) ended: Option<Ending>,
    /// Why nothing more may happen: the world or the recorder broke, or somebody wants to stop.
    pub(super) failed: Option<StageError>,
}

impl Tally {
    /// The call that this was the tally of.
    pub(super) fn performance(
        self,
        error: Option<CallError>,
        verified: bool,
        before: Value,
        after: Value,
    ) -> Performance {
        let Self {
            steps,
            reflex_steps,
            harm,
            touched,
            unlocked,
            skills,
            trace,
            calls,
            consulted,
            moments,
            ended,
            failed: _,
        } = self;
        Performance {
            error,
            verified,
            before,
            after,
            steps,
            reflex_steps,
            unlocked,
            skills,
            trace,
            calls,
            consulted,
            moments: moments.into(),
            harm,
            touched: touched.into_iter().collect(),
            ended,
        }
    }
}

/// A call as it would be written.
pub fn as_javascript(call: &ToolCall) -> String {
    let args: Vec<String> = call.args.values().map(Value::to_string).collect();
    format!("{}({})", call.name, args.join(", "))
}

impl ActReport {
    /// What a performance came to, with what is seen afterwards.
    pub(in crate::driver) fn of(performance: Performance, observation: Observation) -> Self {
        let Performance {
            error,
            steps,
            reflex_steps,
            unlocked,
            skills,
            trace,
            calls,
            consulted,
            moments,
            ended,
            ..
        } = performance;
        let calls = Some(calls);
        Self {
            observation,
            error,
            steps,
            reflex_steps,
            unlocked,
            skills,
            trace,
            calls,
            consulted,
            moments,
            ended,
        }
    }
}
