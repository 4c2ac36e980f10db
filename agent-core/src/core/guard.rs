//! Notices when the agent does the same again and again and nothing changes.
//!
//! First it is nudged: told so, and kept from the task until the next episode. When nudges do not help the run
//! pauses with the reason, and can be resumed.

use crate::model::ActReport;
use sojourn_tools::ToolCall;
use std::collections::VecDeque;

/// The same fruitless turn this often in a row is a repetition.
const PATIENCE: usize = 4;
/// Turns of a cycle that are told apart: A, B, C, A, B, C, … is a repetition too.
const LONGEST_CYCLE: usize = 3;
/// Nudges without anything new between them, after which the run pauses.
const NUDGES: u32 = 3;

/// What the guard makes of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Fine,
    /// The agent should be told.
    Nudge {
        /// What it did.
        what: String,
        /// How often in a row.
        times: u32,
    },
    /// Telling it does not help.
    Stuck {
        /// What it did.
        what: String,
    },
}

/// The latest turns, as far as they brought nothing.
#[derive(Debug, Default)]
pub(super) struct Guard {
    fruitless: VecDeque<String>,
    nudges: u32,
}

impl Guard {
    /// Looks at a turn that is over. `changed` is whether the world is another one than before it.
    pub(super) fn turn(&mut self, call: &ToolCall, report: &ActReport, changed: bool) -> Verdict {
        if changed || !report.unlocked.is_empty() || report.ended.is_some() {
            *self = Self::default();
            return Verdict::Fine;
        }
        self.fruitless.push_back(crate::model::as_javascript(call));
        if self.fruitless.len() > PATIENCE * LONGEST_CYCLE {
            self.fruitless.pop_front();
        }
        let Some(times) = self.repeated() else { return Verdict::Fine };
        let what = self.fruitless.back().cloned().unwrap_or_default();
        self.fruitless.clear();
        self.nudges += 1;
        if self.nudges > NUDGES { Verdict::Stuck { what } } else { Verdict::Nudge { what, times } }
    }

    /// How often the shortest cycle at the end was gone through, if that is too often.
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
        let observation = Observation { text: String::new(), state: Value::Null };
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
    fn the_same_again_and_again_is_nudged_and_then_stopped() {
        let mut guard = Guard::default();
        let mut nudges = 0;
        for turn in 0..100 {
            match guard.turn(&call("collect_wood"), &report(), false) {
                Verdict::Fine => {}
                Verdict::Nudge { what, times } => {
                    assert_eq!((what.as_str(), times), ("collect_wood()", 4));
                    nudges += 1;
                }
                Verdict::Stuck { .. } => {
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
        let verdicts: Vec<Verdict> =
            (0..12).map(|turn| guard.turn(&call(["a", "b", "c"][turn % 3]), &report(), false)).collect();
        assert!(matches!(verdicts.last(), Some(Verdict::Nudge { .. })), "{verdicts:?}");

        let mut guard = Guard::default();
        for turn in 0..200 {
            let verdict = guard.turn(&call(&format!("go{turn}")), &report(), false);
            assert_eq!(verdict, Verdict::Fine);
        }
    }

    proptest! {
        #[test]
        fn what_changes_the_world_is_never_a_repetition(names in prop::collection::vec(0..3_u8, 0..80)) {
            let mut guard = Guard::default();
            for name in names {
                prop_assert_eq!(guard.turn(&call(&name.to_string()), &report(), true), Verdict::Fine);
            }
        }
    }
}
