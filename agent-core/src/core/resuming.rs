//! Control records in the core: the run was resumed or forked, it got a goal, or its tools changed.

use super::guard::Guard;
use super::{Core, Phase};
use crate::model::{ControlRecord, Effect, ForkChanges, TimedControl};

impl Core {
    /// Applies a control record, which stands between two events.
    pub fn apply_control(&mut self, control: &TimedControl) {
        match &control.record {
            ControlRecord::Resumed { budgets, untrusted, .. } => {
                if *untrusted {
                    self.consultations.taint();
                    self.from_elsewhere = true;
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
