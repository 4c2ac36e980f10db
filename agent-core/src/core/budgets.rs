//! The run's use of steps, time, tokens, calls and money, and its limits.

use super::acting::AfterReflection;
use super::{Core, Phase};
use crate::config::Budgets;
use crate::model::{Effect, FinishReason};
use sojourn_controller::Reply;

/// What the run has used and done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Totals {
    /// Environment steps in episodes.
    pub steps: u64,
    /// Tokens that the controller generated.
    pub tokens: u64,
    /// Prompt tokens that the controller read without its cache.
    pub prompt_tokens: u64,
    /// Episodes that ended.
    pub episodes: u64,
    /// Calls of tools, by the controller or by skills.
    pub tool_calls: u64,
    /// Requests that the teacher answered.
    #[serde(skip_serializing_if = "is_none")]
    pub teacher_requests: u64,
    /// Tokens of these requests. They are among those above.
    #[serde(skip_serializing_if = "is_none")]
    pub teacher_tokens: u64,
    /// Skills and reflexes of the teacher that were admitted.
    #[serde(skip_serializing_if = "is_none")]
    pub taught: u64,
    /// Money, in the currency of the run's prices; 0 without prices.
    pub cost: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Core {
    /// What the run has used so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Milliseconds since the run's start, without the time between two processes.
    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.now_ms.saturating_sub(self.started_ms).saturating_sub(self.paused_ms)).unwrap_or(0)
    }

    /// The time at which the effect under way is given up, in milliseconds since 1970: the time budget is used up, or the run is
    /// stuck. `None` where neither can happen.
    pub(crate) fn deadline_ms(&self) -> Option<i64> {
        let stuck = self.stuck_at_ms().filter(|_| Self::may_be_stuck_in(&self.phase));
        let limit = self.config.budgets.time_ms.into_iter().chain(stuck).min()?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Some(self.started_ms.saturating_add(self.paused_ms).saturating_add(limit))
    }

    /// The budget of which the largest share is used, and the share: 1 is all of it. `None` without budgets.
    pub fn used_budget(&self) -> Option<(&'static str, f64)> {
        let Budgets { steps, time_ms, tokens, tool_calls, cost, .. } = self.config.budgets;
        let used = self.totals;
        let share =
            |used: f64, limit: Option<f64>| limit.map(|limit| if limit > 0.0 { used / limit } else { 1.0 });
        let count = |used: u64, limit: Option<u64>| share(used as f64, limit.map(|limit| limit as f64));
        let shares = [
            ("steps", count(used.steps, steps)),
            ("time", count(self.elapsed_ms(), time_ms)),
            ("tokens", count(used.tokens, tokens)),
            ("tool calls", count(used.tool_calls, tool_calls)),
            ("cost", share(used.cost, cost)),
        ];
        let shares = shares.into_iter().filter_map(|(name, share)| Some((name, share?)));
        shares.max_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// The first budget that is used up.
    pub(super) fn over_budget(&self) -> Option<FinishReason> {
        let Budgets { steps, time_ms, tokens, tool_calls, cost, .. } = self.config.budgets;
        let elapsed = self.elapsed_ms();
        if steps.is_some_and(|limit| self.totals.steps >= limit) {
            Some(FinishReason::Steps)
        } else if time_ms.is_some_and(|limit| elapsed >= limit) {
            Some(FinishReason::Time)
        } else if tokens.is_some_and(|limit| self.totals.tokens >= limit) {
            Some(FinishReason::Tokens)
        } else if tool_calls.is_some_and(|limit| self.totals.tool_calls >= limit) {
            Some(FinishReason::ToolCalls)
        } else if cost.is_some_and(|limit| self.totals.cost >= limit) {
            Some(FinishReason::Cost)
        } else {
            None
        }
    }

    /// The budgets after a grant of `more` on top of what is used; what `more` leaves out stays.
    pub(super) fn extended_budgets(&self, more: Budgets) -> Budgets {
        let Budgets { steps, time_ms, tokens, tool_calls, cost, .. } = self.config.budgets;
        let used = self.totals;
        Budgets {
            steps: more.steps.map(|more| used.steps.saturating_add(more)).or(steps),
            time_ms: more.time_ms.map(|more| self.elapsed_ms().saturating_add(more)).or(time_ms),
            tokens: more.tokens.map(|more| used.tokens.saturating_add(more)).or(tokens),
            tool_calls: more.tool_calls.map(|more| used.tool_calls.saturating_add(more)).or(tool_calls),
            cost: more.cost.map(|more| used.cost + more).or(cost),
            frame_bytes: more.frame_bytes.or(self.config.budgets.frame_bytes),
            log_bytes: more.log_bytes.or(self.config.budgets.log_bytes),
        }
    }

    /// Adds an answer's tokens, and their price, to the totals.
    pub(super) fn count(&mut self, reply: &Reply) {
        self.controller_failures = 0;
        if reply.refusal().is_some() {
            self.refusals = self.refusals.saturating_add(1);
        } else if !self.phase.draws_lessons() {
            // Lessons alone bring a run no further.
            self.refusals = 0;
        }
        let usage = &reply.usage;
        let read = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
        self.totals.tokens = self.totals.tokens.saturating_add(u64::from(usage.completion_tokens));
        self.totals.prompt_tokens = self.totals.prompt_tokens.saturating_add(u64::from(read));
        let teacher = self.config.teacher.as_ref().filter(|_| self.asked_teacher);
        if teacher.is_some() {
            self.totals.teacher_requests += 1;
            let tokens = u64::from(read) + u64::from(usage.completion_tokens);
            self.totals.teacher_tokens = self.totals.teacher_tokens.saturating_add(tokens);
        }
        let prices = teacher.map_or(self.config.prices, |teacher| teacher.prices);
        if let Some(prices) = prices {
            let spent = f64::from(read) * prices.prompt
                + f64::from(usage.cached_tokens) * prices.cached
                + f64::from(usage.completion_tokens) * prices.completion;
            self.totals.cost += spent / 1e6;
        }
    }

    /// Ends the run where its time was over, or it was stuck, before an effect was answered. What was under way is given up; lessons that were
    /// drawn already are kept.
    pub(super) fn out_of_time(&mut self, phase: Phase) -> Vec<Effect> {
        let mut effects = match phase {
            // The death ends the episode, so that a resume starts the next one.
            Phase::WritingReflex(draft) | Phase::TryingReflexes(draft) => vec![self.end_episode(draft.cause)],
            Phase::Reflecting { then: AfterReflection::NextEpisode { cause } } => {
                vec![self.end_episode(cause)]
            }
            // The state within the skill is not known here.
            Phase::Acting { .. } => vec![self.end_episode("the time budget is used up".to_owned())],
            Phase::Comparing(comparison) => vec![self.edits(&comparison, Vec::new())],
            // It did not begin, so a resume begins it.
            Phase::Resetting => {
                self.episode.over = true;
                Vec::new()
            }
            _ => Vec::new(),
        };
        let is_over = self.config.budgets.time_ms.is_some_and(|limit| self.elapsed_ms() >= limit);
        let reason =
            if self.config.stuck.is_none() || is_over { FinishReason::Time } else { self.stuck_reason() };
        effects.extend(self.finish(reason));
        effects
    }

    /// Ends the run.
    pub(super) fn finish(&mut self, reason: FinishReason) -> Vec<Effect> {
        self.phase = Phase::Finished;
        vec![Effect::Finish { reason }]
    }
}
