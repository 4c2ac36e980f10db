//! What the core makes of interjections: it was resumed, or it is a fork now.

use super::{Core, Effect, Phase, Totals, prompts};
use crate::config::Budgets;
use crate::driver::{Interjected, Interjection};
use sojourn_controller::{Part, Request, Role};

/// The rules of the loop from which on prompts have parts that can be left out.
const PARTS_SINCE: u32 = 4;

impl Core {
    /// Takes note of what came between two events.
    pub fn interject(&mut self, interjected: &Interjected) {
        match &interjected.what {
            Interjection::Resumed { budgets } => {
                self.paused_ms += (interjected.at_ms - interjected.before_ms).max(0);
                self.now_ms = interjected.at_ms;
                if let Some(more) = budgets {
                    self.config.budgets = self.more_budgets(*more);
                }
            }
            Interjection::Forked { run, config, budgets, model, .. } => {
                self.paused_ms += (interjected.at_ms - interjected.before_ms).max(0);
                self.now_ms = interjected.at_ms;
                self.config = (**config).clone();
                if let Some(more) = budgets {
                    self.config.budgets = self.more_budgets(*more);
                }
                self.origin.run.clone_from(run);
                self.origin.model.clone_from(&model.name);
            }
            Interjection::Tools { appeared, loose, vanished, notices } => {
                self.now_ms = interjected.at_ms;
                self.consultations.changed(appeared, loose, vanished, notices);
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
        if self.config.rules < PARTS_SINCE {
            prompts::undivided(request);
        }
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
