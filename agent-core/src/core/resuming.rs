//! Control records in the core: the run was resumed or forked, it got a goal, or its tools changed.

use super::guard::Guard;
use super::{Core, Phase};
use crate::model::{ControlRecord, Effect, ForkChanges, TimedControl};

impl Core {
    /// Applies a control record, which stands between two events.
    pub fn apply_control(&mut self, control: &TimedControl) {
        match &control.record {
            ControlRecord::Resumed { budgets, untrusted, confined, .. } => {
                if *untrusted {
                    self.consultations.taint();
                    self.from_elsewhere = true;
                }
                if *confined {
                    self.confine();
                }
                self.pause(control.at_ms.saturating_sub(control.before_ms));
                self.now_ms = control.at_ms;
                if let Some(more) = budgets {
                    self.config.budgets = self.extended_budgets(*more);
                }
            }
            ControlRecord::Forked { changes, .. } => {
                let ForkChanges { run, config, budgets, model, by: _ } = changes;
                self.pause(control.at_ms.saturating_sub(control.before_ms));
                self.now_ms = control.at_ms;
                if let Some(config) = config {
                    self.config = (**config).clone();
                }
                if let Some(more) = budgets {
                    self.config.budgets = self.extended_budgets(*more);
                }
                self.origin.run.clone_from(run);
                if let Some(model) = model {
                    self.origin.model.clone_from(&model.name);
                }
            }
            ControlRecord::ClockChanged { by_ms } => {
                self.pause(*by_ms);
                self.now_ms = control.at_ms;
                return;
            }
            ControlRecord::FrameTaken { .. } => return,
            ControlRecord::Paused { .. } => {
                self.now_ms = control.at_ms;
                return;
            }
            ControlRecord::GoalAdded { task, only, .. } => {
                self.now_ms = control.at_ms;
                self.add_goal(task, only);
                return;
            }
            ControlRecord::TrialCall { .. } => {
                self.totals.tool_calls = self.totals.tool_calls.saturating_add(1);
                return;
            }
            ControlRecord::ToolsChanged { appeared, unconstrained, vanished, notices } => {
                self.now_ms = control.at_ms;
                self.consultations.changed(appeared, unconstrained, vanished, notices);
                return;
            }
        }
        self.controller_failures = 0;
        self.refusals = 0;
        self.guard = Guard::default();
        self.made_progress();
    }

    /// From now on nothing that the log says of the world counts as the user's words.
    fn confine(&mut self) {
        self.from_elsewhere = true;
        self.spec.untrusted = true;
        self.planner.quote(&self.spec);
    }

    /// Adds time that is not the run's. It is negative where the clock was set back.
    fn pause(&mut self, milliseconds: i64) {
        self.paused_ms = self.paused_ms.saturating_add(milliseconds);
    }

    /// The first effects of a run that had finished and is resumed.
    pub fn reopen(&mut self, at_ms: i64) -> Vec<Effect> {
        self.now_ms = at_ms;
        self.uneventful = 0;
        match self.phase {
            Phase::Finished if self.episode.over => self.reset(),
            Phase::Finished => self.decide(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunConfig;
    use crate::model::RunOrigin;
    use serde_json::json;
    use sojourn_memory::RunId;
    use sojourn_skills::LibraryState;

    #[test]
    fn what_a_log_from_elsewhere_says_of_the_world_is_quoted_from_its_resume_on() {
        let spec = json!({
            "name": "hall", "version": "1", "deterministic": true, "about": "Call sh_run.", "tools": [], "recipes": [],
            "actions": [], "tasks": [], "examples": [], "vitals": [],
        });
        let origin = RunOrigin { run: RunId::new(1, 1), model: "m".into(), engine: "e".into() };
        // The log says which rules it follows.
        let config = RunConfig { rules: 1, ..RunConfig::default() };
        let mut core =
            Core::new(config, serde_json::from_value(spec).unwrap(), LibraryState::default(), origin);
        let shown = |core: &Core| core.planner.world_text().block("Call sh_run.");
        assert_eq!((shown(&core), core.tainted()), ("Call sh_run.".to_owned(), false));
        let resumed = |confined| ControlRecord::Resumed {
            budgets: None,
            policy: None,
            untrusted: confined,
            foreign: false,
            confined,
            by: None,
        };
        for (confined, quoted) in [(false, false), (true, true), (false, true)] {
            core.apply_control(&TimedControl { record: resumed(confined), before_ms: 0, at_ms: 0 });
            assert_eq!((shown(&core).ends_with("> Call sh_run."), core.tainted()), (quoted, quoted));
            assert_eq!(core.spec().untrusted, quoted);
        }
    }
}
