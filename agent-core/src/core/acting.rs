//! What follows from running a skill in the episode.

use super::guard::{Guard, Verdict};
use super::{AfterReflection, Core, Phase, Purpose, Reply, ToolCall, prompts};
use crate::model::{ActReport, Effect, FinishReason, LessonKind, Milestone, NewLesson};
use sojourn_tools::{Ending, EndingKind, Need};
use std::fmt::Write as _;

impl Core {
    pub(super) fn act(&mut self, call: ToolCall) -> Vec<Effect> {
        let left = self.config.episode_steps.saturating_sub(self.episode.steps);
        let budget =
            self.config.budgets.steps.map_or(u64::MAX, |limit| limit.saturating_sub(self.totals.steps));
        let max_steps = left.min(budget).min(u64::from(self.config.actor.act_steps));
        let max_steps = u32::try_from(max_steps).unwrap_or(u32::MAX);
        self.phase = Phase::Acting { call: call.clone() };
        vec![Effect::Act { call, max_steps }]
    }

    pub(super) fn acted(&mut self, call: &ToolCall, report: ActReport) -> Vec<Effect> {
        let verified = self.verify(call, &report);
        let verdict = self.watch(call, &report, verified);
        self.totals.tool_calls += u64::from(report.calls);
        if report.consulted > 0 {
            self.consultations.used_by_skill();
        }
        self.totals.steps += u64::from(report.steps);
        self.episode.steps += u64::from(report.steps);
        self.episode.done.extend(report.unlocked.iter().map(|unlocked| unlocked.task.clone()));
        let died = report.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Died);

        let mut effects = Vec::new();
        if self.planner.task(&call.name).is_some() {
            self.curriculum.ran(&call.name, verified, report.steps);
            self.learn_edges(&call.name, &report);
            let milestone = Milestone::TaskDone { task: call.name.clone(), verified, steps: report.steps };
            effects.push(Effect::ReportMilestone { milestone });
            effects.extend(self.count_usage(&report, died));
        }
        if self.episode.plan.is_empty() || !verified {
            effects.extend(self.credit(verified && !died));
        }
        if self.config.memory {
            effects.push(self.remember(episode_memory(call, &report, verified)));
        }
        self.episode.observation = report.observation;
        self.moments = report.moments;
        if !verified {
            self.episode.plan.clear();
        }
        match verdict {
            Verdict::Fine => {}
            Verdict::Nudge { what, times } => {
                self.curriculum.set_aside(&call.name);
                self.nudge = Some(format!(
                    "You did {what} {times} times in a row and nothing changed. Do something else."
                ));
                effects.push(Effect::ReportMilestone { milestone: Milestone::Nudged { what, times } });
            }
            // Another episode looks different.
            Verdict::Stuck { what } if self.spec.question.is_some() => {
                self.guard = Guard::default();
                effects.extend(self.next_episode(format!("{what} was done again and again")));
                return effects;
            }
            Verdict::Stuck { what } => {
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

    /// Whether the agent does the same again and again.
    fn watch(&mut self, call: &ToolCall, report: &ActReport, verified: bool) -> Verdict {
        let is_task = self.planner.task(&call.name).is_some();
        let another = report.observation.text != self.episode.observation.text;
        let changed = if is_task { verified } else { another };
        self.guard.turn(call, report, changed)
    }

    /// Whether the call reached its goal: decided by the state, never by a model.
    fn verify(&self, call: &ToolCall, report: &ActReport) -> bool {
        match self.planner.task(&call.name) {
            Some(task) => task
                .goal
                .holds(&self.episode.observation.state, &report.observation.state, &call.args)
                .unwrap_or(false),
            None => report.error.is_none(),
        }
    }

    /// What a failed call missed tells what its task rests on.
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
        let what = format!(
            "You were doing {} and the episode ended: {}. Before that:\n{}",
            crate::model::as_javascript(call),
            ending.cause,
            self.episode.observation.text.trim_end()
        );
        let request = prompts::reflect(&self.spec, &what, seed);
        let then = AfterReflection::NextEpisode(ending.cause.clone());
        self.think(Purpose::Reflect, request, Phase::Reflecting { then })
    }

    pub(super) fn reflected(&mut self, reply: &Reply, then: &AfterReflection) -> Vec<Effect> {
        let mut effects = Vec::new();
        let lesson = reply.candidates.first().map(|c| c.text.trim()).unwrap_or_default();
        if !lesson.is_empty() {
            let text = match then {
                AfterReflection::Decide { task } => format!("{task}: {lesson}"),
                AfterReflection::NextEpisode(cause) => format!("{cause}: {lesson}"),
            };
            effects.push(self.remember(NewLesson { text, kind: LessonKind::Reflection, importance: 8.0 }));
        }
        effects.extend(self.go_on(then));
        effects
    }

    pub(super) fn go_on(&mut self, then: &AfterReflection) -> Vec<Effect> {
        match then {
            AfterReflection::Decide { .. } => self.decide(),
            AfterReflection::NextEpisode(cause) => self.after_death(cause.clone()),
        }
    }
}

/// What happened, in a sentence.
fn episode_memory(call: &ToolCall, report: &ActReport, verified: bool) -> NewLesson {
    let call = crate::model::as_javascript(call);
    let outcome = if verified { "worked" } else { "failed" };
    let mut text = format!("{call} {outcome} in {} steps", report.steps);
    if let Some(last) = report.trace.iter().rev().find(|call| !call.ok && !verified) {
        let _ = write!(text, ": {}: {}", last.call, last.message);
    }
    if let Some(ending) = &report.ended {
        let _ = write!(text, "; the episode ended: {}", ending.cause);
    }
    text.push('.');
    let importance = if report.ended.is_some() || !report.unlocked.is_empty() { 6.0 } else { 3.0 };
    NewLesson { text, kind: LessonKind::Episode, importance }
}
