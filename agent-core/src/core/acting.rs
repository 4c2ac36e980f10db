//! Running a skill in the episode, and what follows from its report.

use super::guard::{Guard, Repetition};
use super::prompts::{self, memories};
use super::{Core, Phase};
use crate::model::{ActReport, Effect, FinishReason, LessonKind, Milestone, Purpose, SkillUse};
use sojourn_controller::Reply;
use sojourn_tools::{Ending, EndingKind, FailureKind, Need, ToolCall};

/// Importance, from 1 to 10, of the memory of a call that unlocked an achievement or ended the episode.
const NOTABLE: f32 = 6.0;
/// Importance of the memory of any other call.
const ORDINARY: f32 = 3.0;
/// Importance of a lesson from a failure.
const REFLECTION: f32 = 8.0;

/// The continuation of the loop after a lesson from a failure.
pub(super) enum AfterReflection {
    /// The same episode; the lesson is about this task.
    Decide { task: String },
    /// The next episode; the present one ended with this cause.
    NextEpisode { cause: String },
}

impl Core {
    pub(super) fn act(&mut self, call: ToolCall) -> Vec<Effect> {
        let left = self.config.episode_steps.saturating_sub(self.episode.steps);
        let budget =
            self.config.budgets.steps.map_or(u64::MAX, |limit| limit.saturating_sub(self.totals.steps));
        let of_a_call = self.spec.call_steps(self.config.actor.act_steps);
        let max_steps = left.min(budget).min(u64::from(of_a_call));
        let max_steps = u32::try_from(max_steps).unwrap_or(u32::MAX);
        self.phase = Phase::Acting { call: call.clone() };
        vec![Effect::Act { call, max_steps }]
    }

    pub(super) fn acted(&mut self, call: &ToolCall, report: ActReport) -> Vec<Effect> {
        let verified = self.verify(call, &report);
        let repetition = self.watch(call, &report, verified);
        self.totals.tool_calls += u64::from(report.calls);
        let from_outside = |used: &SkillUse| {
            self.library.active(&used.name).is_some_and(|entry| entry.skill.manifest.is_untrusted())
        };
        if report.consulted > 0 || report.skills.iter().any(from_outside) {
            self.consultations.taint();
        }
        self.totals.steps += u64::from(report.steps);
        self.episode.steps += u64::from(report.steps);
        for unlocked in &report.unlocked {
            self.news |= self.unlocked.insert(unlocked.task.clone());
        }
        self.news |= !verified || report.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Died);
        self.episode.done.extend(report.unlocked.iter().map(|unlocked| unlocked.task.clone()));

        let mut effects = self.learn_from(call, &report, verified);
        self.episode.achieved.extend(report.unlocked.iter().map(|unlocked| unlocked.task.clone()));
        if self.config.rules >= 1 && self.config.repeat_tasks && verified {
            // An achievement is unlocked once in an episode, so a repeated task would never be done.
            self.episode.done.insert(call.name.clone());
        }
        self.falling.note(&self.episode.first, &self.episode.observation.state, &report, call, verified);
        self.episode.observation = report.observation;
        self.episode.look = None;
        self.note_what_is_done(&call.name, verified);
        self.note_goals(&call.name, verified);
        self.moments = report.moments;
        if !verified {
            self.episode.plan.clear();
        }
        match repetition {
            Repetition::None => {}
            Repetition::Nudge { call: what, times } => {
                self.curriculum.set_aside(&call.name);
                self.nudge = Some(prompts::nudge(&what, times));
                effects.push(Effect::ReportMilestone { milestone: Milestone::Nudged { what, times } });
            }
            // In a world with a question another episode asks something else; one in which single calls are chosen is not left unused.
            Repetition::Persistent { call: what }
                if self.spec.question.is_some() || self.acts_step_by_step() =>
            {
                self.guard = Guard::default();
                effects.extend(self.next_episode(format!("{what} was done again and again")));
                return effects;
            }
            Repetition::Persistent { .. } if self.config.live_on => {
                self.guard = Guard::default();
                self.curriculum.set_aside(&call.name);
            }
            Repetition::Persistent { call: what } => {
                effects.extend(self.finish(FinishReason::Repetition { what }));
                return effects;
            }
        }
        match report.ended {
            Some(ending) => effects.extend(self.episode_ended(&ending, call)),
            None => effects.extend(self.decide()),
        }
        effects
    }

    /// Updates the curriculum, the library and memory from a report.
    fn learn_from(&mut self, call: &ToolCall, report: &ActReport, verified: bool) -> Vec<Effect> {
        let died = report.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Died);
        let mut effects = Vec::new();
        if self.planner.task(&call.name).is_some() {
            // Steps that ran out say nothing about the skill.
            let counts = verified || !self.was_cut_short(report);
            if counts {
                self.curriculum.ran(&call.name, verified, report.steps);
                self.learn_edges(&call.name, report);
            }
            let milestone = Milestone::TaskDone { task: call.name.clone(), verified, steps: report.steps };
            effects.push(Effect::ReportMilestone { milestone });
            if counts {
                effects.extend(self.count_usage(report, died));
            }
        }
        if self.episode.plan.is_empty() || !verified {
            effects.extend(self.credit(verified && !died));
        }
        if self.config.memory {
            let notable = report.ended.is_some() || !report.unlocked.is_empty();
            let importance = if notable { NOTABLE } else { ORDINARY };
            let text = memories::acted(call, report, verified);
            effects.push(self.remember(text, LessonKind::Episode, importance));
        }
        effects
    }

    /// Has the guard look for repetitions.
    fn watch(&mut self, call: &ToolCall, report: &ActReport, verified: bool) -> Repetition {
        let is_task = self.planner.task(&call.name).is_some();
        let observes_another = report.observation.text != self.episode.observation.text;
        let changed = if is_task { verified } else { observes_another };
        self.guard.turn(call, report, changed)
    }

    /// Whether the call reached its goal: decided by the state, never by a model.
    fn verify(&self, call: &ToolCall, report: &ActReport) -> bool {
        match self.planner.task(&call.name) {
            Some(task) => task
                .goal
                .holds(&self.episode.observation.state, &report.observation.state, &call.args)
                .unwrap_or(false),
            None if self.spec.play => report.error.is_none() && report.trace.iter().all(|call| call.ok),
            None => report.error.is_none(),
        }
    }

    /// Whether the end of the episode's or the run's steps stopped a call, not its own limit.
    fn was_cut_short(&self, report: &ActReport) -> bool {
        let exhausted =
            report.trace.last().and_then(|call| call.failure) == Some(FailureKind::StepBudgetExhausted);
        self.spec.play && exhausted && report.steps < self.spec.call_steps(self.config.actor.act_steps)
    }

    /// Adds a prerequisite to the curriculum for each thing that a failed call lacked.
    fn learn_edges(&mut self, task: &str, report: &ActReport) {
        for need in report.trace.iter().filter(|call| !call.ok).flat_map(|call| &call.missing) {
            let (Need::Item { item: thing, have: 0, .. } | Need::Nearby { kind: thing }) = need else {
                continue;
            };
            if let Some(provider) = self.planner.provider(thing).map(str::to_owned) {
                self.curriculum.learn_edge(&self.planner, task, &provider);
            }
        }
    }

    fn episode_ended(&mut self, ending: &Ending, call: &ToolCall) -> Vec<Effect> {
        if ending.kind != EndingKind::Died {
            return self.next_episode(ending.cause.clone());
        }
        if !self.config.memory || !self.config.learning {
            return self.after_death(ending.cause.clone());
        }
        let seed = self.request_seed();
        let observation = self.shown_text();
        let request = prompts::reflect_on_death(&self.spec, call, &ending.cause, observation, seed);
        let then = AfterReflection::NextEpisode { cause: ending.cause.clone() };
        self.think(Purpose::Reflect, request, Phase::Reflecting { then })
    }

    /// Keeps the controller's lesson under what it is about: `write` finds a task's lessons by this prefix.
    pub(super) fn reflected(&mut self, reply: &Reply, then: &AfterReflection) -> Vec<Effect> {
        let mut effects = Vec::new();
        let lesson = reply.candidates.first().map(|c| c.text.trim()).unwrap_or_default();
        if !lesson.is_empty() {
            let (AfterReflection::Decide { task: about } | AfterReflection::NextEpisode { cause: about }) =
                then;
            let text = format!("{about}: {lesson}");
            effects.push(self.remember(text, LessonKind::Reflection, REFLECTION));
        }
        effects.extend(self.after(then));
        effects
    }

    pub(super) fn after(&mut self, then: &AfterReflection) -> Vec<Effect> {
        match then {
            AfterReflection::Decide { .. } => self.decide(),
            AfterReflection::NextEpisode { cause } => self.after_death(cause.clone()),
        }
    }
}
