//! The sentences that the loop writes to memory.

use super::prompt;
use crate::model::{ActReport, as_javascript};
use sojourn_skills::ReflexFigures;
use sojourn_tools::{TaskSpec, ToolCall};

/// What came of a call in the episode, in one sentence.
pub(in crate::core) fn acted(call: &ToolCall, report: &ActReport, verified: bool) -> String {
    let call = as_javascript(call);
    let mut text = if verified {
        prompt!("memories", "worked", call = call, steps = report.steps)
    } else {
        prompt!("memories", "failed", call = call, steps = report.steps)
    };
    if let Some(last) = report.trace.iter().rev().find(|call| !call.ok && !verified) {
        text.push_str(&prompt!("memories", "failed_call", call = last.call, message = last.message));
    }
    if let Some(ending) = &report.ended {
        text.push_str(&prompt!("memories", "episode_ended", cause = ending.cause));
    }
    text.push('.');
    text
}

/// A skill for the task was admitted.
pub(in crate::core) fn learned_skill(task: &TaskSpec) -> String {
    prompt!("memories", "learned_skill", task = task.name, description = task.description)
}

/// A reflex was admitted.
pub(in crate::core) fn learned_reflex(reflex: &str, figures: &ReflexFigures) -> String {
    let steps = figures.steps;
    prompt!(
        "memories",
        "learned_reflex",
        reflex = reflex,
        with = format!("{:.0}", steps.with),
        without = format!("{:.0}", steps.without),
    )
}
