//! Detects that a run gets nowhere: no progress by the goal's own measure for a set time.
//!
//! Progress is a task that was done, an achievement that was unlocked, a skill or a reflex that was admitted. After one such time
//! the controller is nudged, after two the task is left and another one is taken, after three the run is paused with a report.
//! An answer or a trial that takes longer than that is given up by the driver at the third time. All of it follows from the times
//! of records, so a replay decides alike.

use super::{Core, Phase, prompts};
use crate::model::{Effect, Event, FinishReason, Milestone};
use std::collections::BTreeMap;

/// The step at which a run is paused.
const PAUSE: u64 = 3;
/// Tasks that the report names.
const MOST_TASKS: usize = 20;

/// What happened since the last progress.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Milliseconds of the run at the last progress.
    at_ms: u64,
    /// How often the run was helped since then.
    steps: u64,
    /// The task that was chosen last.
    task: Option<String>,
    /// How often each task was chosen since then.
    tried: BTreeMap<String, u32>,
}

impl Core {
    /// Takes progress over from an event and its effects.
    pub(super) fn watch_progress(&mut self, unlocked: bool, effects: &[Effect]) {
        let mut progressed = unlocked;
        for effect in effects {
            let Effect::ReportMilestone { milestone } = effect else { continue };
            match milestone {
                Milestone::TaskDone { verified: true, .. }
                | Milestone::SkillAdmitted { .. }
                | Milestone::ReflexAdmitted { .. } => progressed = true,
                Milestone::TaskChosen { task, .. } => {
                    let tried = &mut self.progress.tried;
                    if tried.len() < MOST_TASKS || tried.contains_key(task) {
                        *tried.entry(task.clone()).or_default() += 1;
                    }
                    self.progress.task = Some(task.clone());
                }
                _ => {}
            }
        }
        if progressed {
            self.made_progress();
        }
    }

    /// Whether an event unlocks something.
    pub(super) fn unlocks(event: &Event) -> bool {
        matches!(event, Event::Acted { report } if !report.unlocked.is_empty())
    }

    /// Restarts the time without progress.
    pub(super) fn made_progress(&mut self) {
        let task = self.progress.task.take();
        self.progress = Progress { at_ms: self.elapsed_ms(), task, ..Progress::default() };
    }

    /// Milliseconds of the run at which it is paused, if nothing changes; `None` where it never is.
    pub(super) fn stuck_at_ms(&self) -> Option<u64> {
        let after_ms = self.config.stuck?.after_ms.max(1);
        Some(self.progress.at_ms.saturating_add(after_ms.saturating_mul(PAUSE)))
    }

    /// The report of a run that is paused.
    pub(super) fn stuck_reason(&self) -> FinishReason {
        let tried: Vec<String> =
            self.progress.tried.iter().map(|(task, times)| format!("{task} ×{times}")).collect();
        FinishReason::Stuck {
            quiet_ms: self.elapsed_ms().saturating_sub(self.progress.at_ms),
            tried: if tried.is_empty() { "no task".to_owned() } else { tried.join(", ") },
        }
    }

    /// Helps a run that has made no progress for a time, or pauses it. Empty where nothing is to be done; the second value says
    /// whether the run ends.
    pub(super) fn unstick(&mut self) -> (Vec<Effect>, bool) {
        let Some(after_ms) = self.config.stuck.map(|stuck| stuck.after_ms.max(1)) else {
            return (Vec::new(), false);
        };
        if self.stuck_at_ms().is_some_and(|at| at <= self.elapsed_ms()) {
            return (self.finish(self.stuck_reason()), true);
        }
        let quiet_ms = self.elapsed_ms().saturating_sub(self.progress.at_ms);
        let due = quiet_ms / after_ms;
        if due <= self.progress.steps {
            return (Vec::new(), false);
        }
        self.progress.steps = due;
        let task = self.progress.task.clone();
        let minutes = quiet_ms / 60_000;
        self.nudge = Some(prompts::stuck(task.as_deref(), minutes));
        let left = if due >= 2 { task } else { None };
        if let Some(task) = &left {
            self.curriculum.set_aside(task);
            self.curriculum.gave_up_writing(task);
            self.episode.plan.clear();
        }
        (vec![Effect::ReportMilestone { milestone: Milestone::NoProgress { quiet_ms, left } }], false)
    }

    /// Whether the effect under way may be given up because the run is stuck. A skill that acts may make progress at any step.
    pub(super) fn may_be_stuck_in(phase: &Phase) -> bool {
        !matches!(phase, Phase::Acting { .. })
    }
}
