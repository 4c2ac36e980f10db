//! Control records in the core: the run was resumed or forked, or its tools changed.

use super::{Core, Effect, Phase, Totals};
use crate::config::Budgets;
use crate::model::{ControlRecord, ForkChanges, TimedControl};
use sojourn_controller::{Part, Request, Role};

impl Core {
    /// Applies a control record, which stands between two events.
    pub fn apply_control(&mut self, control: &TimedControl) {
        match &control.record {
            ControlRecord::Resumed { budgets } => {
                self.paused_ms += (control.at_ms - control.before_ms).max(0);
                self.now_ms = control.at_ms;
                if let Some(more) = budgets {
                    self.config.budgets = self.more_budgets(*more);
                }
            }
            ControlRecord::Forked { changes, .. } => {
                let ForkChanges { run, config, budgets, model } = changes;
                self.paused_ms += (control.at_ms - control.before_ms).max(0);
                self.now_ms = control.at_ms;
                if let Some(config) = config {
                    self.config = (**config).clone();
                }
                if let Some(more) = budgets {
                    self.config.budgets = self.more_budgets(*more);
                }
                self.origin.run.clone_from(run);
                if let Some(model) = model {
                    self.origin.model.clone_from(&model.name);
                }
            }
            ControlRecord::ToolsChanged { appeared, unconstrained, vanished, notices } => {
                self.now_ms = control.at_ms;
                self.consultations.changed(appeared, unconstrained, vanished, notices);
                return;
            }
        }
        self.controller_failures = 0;
        self.guard = super::Guard::default();
    }

    /// The budgets of which `more` is what is left; what `more` does not speak of stays as it is.
    fn more_budgets(&self, more: Budgets) -> Budgets {
        let Budgets { steps, time_ms, tokens, tool_calls, cost } = self.config.budgets;
        let Totals { steps: walked, tokens: written, tool_calls: called, cost: spent, .. } = self.totals;
        Budgets {
            steps: more.steps.map(|more| walked + more).or(steps),
            time_ms: more.time_ms.map(|more| self.elapsed_ms() + more).or(time_ms),
            tokens: more.tokens.map(|more| written + more).or(tokens),
            tool_calls: more.tool_calls.map(|more| called + more).or(tool_calls),
            cost: more.cost.map(|more| spent + more).or(cost),
        }
    }

    /// What comes next in a run that had finished and is taken up again.
    pub fn reopen(&mut self, at_ms: i64) -> Vec<Effect> {
        self.now_ms = at_ms;
        match self.phase {
            Phase::Finished if self.episode_over => self.reset(),
            Phase::Finished => self.decide(),
            _ => Vec::new(),
        }
    }

    /// Adds the run's instructions to what the controller is told.
    pub fn instruct(&self, request: &mut Request) {
        let Some(instructions) = self.config.instructions.as_deref().map(str::trim) else { return };
        if instructions.is_empty() {
            return;
        }
        let system = request.messages.iter_mut().find(|message| message.role == Role::System);
        if let Some(system) = system {
            system.parts.push(Part::new(format!("\n{instructions}")));
        }
    }
}
