//! Detects repetitions: the same calls in a row that change nothing.
//!
//! The first answer is a nudge: the controller gets a warning, and the task is set aside until the next episode. After too
//! many nudges the run ends with the reason; it can be resumed.

use crate::model::{ActReport, as_javascript};
use sojourn_tools::ToolCall;
use std::collections::VecDeque;

/// Cycles in a row without a change that count as a repetition.
const PATIENCE: usize = 4;
/// Longest cycle, in calls, that is recognised: A, B, C, A, B, C, … is a repetition too.
const LONGEST_CYCLE: usize = 3;
/// Most nudges without a change between them.
const NUDGES: u32 = 3;

/// Whether a turn repeats earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repetition {
    /// It does not.
    None,
    /// The same cycle of calls too often: the controller should be warned.
    Nudge {
        /// The last call of the cycle, as JavaScript.
        call: String,
        /// Cycles in a row.
        times: u32,
    },
    /// A repetition after the last nudge.
    Persistent {
        /// The last call of the cycle, as JavaScript.
        call: String,
    },
}

/// The latest calls without a change.
#[derive(Debug, Default)]
pub(super) struct Guard {
    fruitless: VecDeque<String>,
    nudges: u32,
}

impl Guard {
    /// Looks for a repetition at the end of a turn. `changed` says whether the turn changed the world or reached its goal.
    pub(super) fn turn(&mut self, call: &ToolCall, report: &ActReport, changed: bool) -> Repetition {
        if changed || !report.unlocked.is_empty() || report.ended.is_some() {
            *self = Self::default();
            return Repetition::None;
        }
        self.fruitless.push_back(as_javascript(call));
        if self.fruitless.len() > PATIENCE * LONGEST_CYCLE {
            self.fruitless.pop_front();
        }
        let Some(times) = self.repeated() else { return Repetition::None };
        let call = self.fruitless.back().cloned().unwrap_or_default();
        self.fruitless.clear();
        self.nudges += 1;
        if self.nudges > NUDGES { Repetition::Persistent { call } } else { Repetition::Nudge { call, times } }
    }

    /// The number of times that the shortest cycle at the end was repeated, if that is too often.
    fn repeated(&self) -> Option<u32> {
        (1..=LONGEST_CYCLE).find_map(|period| {
            let turns = period * PATIENCE;
            let start = self.fruitless.len().checked_sub(turns)?;
            let cyclic = (start..self.fruitless.len() - period)
                .all(|at| self.fruitless[at] == self.fruitless[at + period]);
            cyclic.then_some(PATIENCE as u32)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};
    use sojourn_tools::Observation;

    fn call(name: &str) -> ToolCall {
        ToolCall { name: name.to_owned(), args: Map::new() }
    }

    fn report() -> ActReport {
        let observation = Observation::new("", Value::Null);
        ActReport {
            observation,
            error: None,
            steps: 0,
            reflex_steps: 0,
            unlocked: Vec::new(),
            skills: Vec::new(),
            trace: Vec::new(),
            calls: 0,
            consulted: 0,
            moments: Vec::new(),
            ended: None,
        }
    }

    #[test]
    fn a_repetition_is_nudged_and_then_ends_the_run() {
        let mut guard = Guard::default();
        let mut nudges = 0;
        for turn in 0..100 {
            match guard.turn(&call("ring"), &report(), false) {
                Repetition::None => {}
                Repetition::Nudge { call, times } => {
                    assert_eq!((call.as_str(), times), ("ring()", 4));
                    nudges += 1;
                }
                Repetition::Persistent { .. } => {
                    assert_eq!((turn, nudges), (15, 3));
                    return;
                }
            }
        }
        panic!("it was never stopped");
    }

    #[test]
    fn a_cycle_is_a_repetition_and_a_walk_is_not() {
        let mut guard = Guard::default();
        let turns: Vec<Repetition> =
            (0..12).map(|turn| guard.turn(&call(["a", "b", "c"][turn % 3]), &report(), false)).collect();
        assert!(matches!(turns.last(), Some(Repetition::Nudge { .. })), "{turns:?}");

        let mut guard = Guard::default();
        for turn in 0..200 {
            let turn = guard.turn(&call(&format!("go{turn}")), &report(), false);
            assert_eq!(turn, Repetition::None);
        }
    }

    proptest! {
        #[test]
        fn a_turn_that_changes_the_world_is_never_a_repetition(names in prop::collection::vec(0..3_u8, 0..80)) {
            let mut guard = Guard::default();
            for name in names {
                prop_assert_eq!(guard.turn(&call(&name.to_string()), &report(), true), Repetition::None);
            }
        }
    }
}
