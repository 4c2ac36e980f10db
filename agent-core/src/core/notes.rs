//! Causal notes: what a retry is told about the attempt before, in one or two sentences; and what worked by chance.
//!
//! A small model copies failed code that it is shown, and a wrong hint makes it worse; so a note is computed
//! from the last causal failure, and where the cause is not certain it only says what happened.

use super::planner::Planner;
use crate::model::{CallTrace, CandidateTrial, Demonstration, Failure};
use serde_json::Value;
use sojourn_sandbox::{CallError, LimitKind, StopCause};
use sojourn_tools::{Amount, Condition, Need, Question, TaskSpec};
use std::fmt::Write as _;

/// The note for a candidate that was not admitted.
///
/// Where each world asks a `question` of its own it is told what was to be done in the one that failed.
pub fn causal_note(
    planner: &Planner,
    task: &TaskSpec,
    trial: &CandidateTrial,
    question: Option<&Question>,
) -> String {
    if let Some(error) = &trial.compile_error {
        return format!("The last program was not valid JavaScript: {error}.");
    }
    let Some(failure) = &trial.failure else {
        return "The program did not reach the goal in most of the worlds that it was tried in.".to_owned();
    };
    if let Some(question) = question {
        return scene_note(question, failure);
    }
    let mut notes = Vec::new();
    if let Some(error) = &failure.error {
        notes.push(error_note(error));
    }
    if failure.trace.is_empty() && failure.error.is_none() {
        notes.push("No function was called, so nothing happened: do not test a condition that is false at the start.".to_owned());
    }
    if let Some(note) = failure.trace.iter().rev().find_map(|call| call_note(planner, call)) {
        notes.push(note);
    }
    if notes.is_empty()
        && let Some(note) = shortfall(&task.goal, &failure.before, &failure.after, &failure.call)
    {
        notes.push(note);
    }
    if failure.died {
        notes.push("The player died on the way: stop as soon as the goal is reached.".to_owned());
    }
    if notes.is_empty() {
        notes.push("It ran to its end, but the goal was not reached: it must loop often enough, and get every needed thing first.".to_owned());
    }
    notes.truncate(2);
    notes.join(" ")
}

/// What was to be done, what the program did instead, and what came of it.
fn scene_note(question: &Question, failure: &Failure) -> String {
    let mut note = String::from("The last program failed");
    if let Some(goal) = failure.before.pointer(&question.path).and_then(Value::as_str) {
        // Writing to a string cannot fail.
        let _ = write!(note, " where the goal was: {}", shortened(goal, SCENE));
    }
    note.push_str(". ");
    let calls: Vec<String> = failure
        .trace
        .iter()
        .take(CALLS)
        .map(|call| {
            let how =
                if call.ok { String::new() } else { format!(" failed: {}", shortened(&call.message, SCENE)) };
            format!("{}{how}", shortened(&call.call, SCENE))
        })
        .collect();
    if calls.is_empty() {
        note.push_str("It called nothing.");
    } else {
        let _ = write!(note, "It called {}.", calls.join("; "));
    }
    match &failure.error {
        Some(error) if !failure.died => {
            let _ = write!(note, " {}", error_note(error));
        }
        _ if failure.died => note.push_str(" That was wrong."),
        _ => note.push_str(" The goal was not reached by that."),
    }
    note
}

/// Characters of one part of a note, and calls told of.
const SCENE: usize = 160;
/// See [`SCENE`].
const CALLS: usize = 6;

/// The calls of a demonstration, and the elements that they acted on.
pub fn demonstration(demonstration: &Demonstration) -> String {
    let goal = shortened(demonstration.steps.first().map_or("", |step| &step.state.goal), SCENE);
    let done = demonstration.steps.iter().map(|step| {
        let args: Vec<String> = step.call.args.values().map(Value::to_string).collect();
        let mut text = format!("{}({})", step.call.name, args.join(", "));
        for element in step.call.args.values().filter_map(|id| step.state.element(id)) {
            let (id, label) = (Value::from(&element.id), Value::from(element.label.as_str()));
            // Writing to a string cannot fail.
            let _ = write!(text, ", {id} being {} {label}", element.kind);
        }
        text
    });
    format!("{goal} This was done: {}.", done.collect::<Vec<_>>().join("; "))
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most).chain(['…']).collect()
    }
}

fn error_note(error: &CallError) -> String {
    let endless = matches!(
        error,
        CallError::Stopped { cause: StopCause::StepBudgetExhausted, .. }
            | CallError::Limit { which: LimitKind::Fuel | LimitKind::Wall | LimitKind::HostCalls, .. }
    );
    if endless {
        "It went on without an end. Use bounded loops, for (let i = 0; i < 40; i++), test a value that changes, and return when the goal is reached.".to_owned()
    } else {
        format!("It stopped with: {error}.")
    }
}

fn call_note(planner: &Planner, failed: &CallTrace) -> Option<String> {
    if failed.ok {
        return None;
    }
    let call = &failed.call;
    let note = match failed.missing.first()? {
        Need::Item { item, count, have } => {
            let short = count.saturating_sub(*have);
            match planner.provider(item).and_then(|name| planner.task(name)) {
                Some(provider) if planner.count_parameter(provider).is_some() => format!(
                    "{call} failed because {short} {item} was missing at that moment. Call {}({short}) before it.",
                    provider.name
                ),
                Some(provider) => {
                    format!("{call} failed because {item} was missing. Call {}() before it.", provider.name)
                }
                None => format!("{call} failed because {short} {item} was missing."),
            }
        }
        Need::Nearby { kind } => {
            let by = planner.provider(kind).map(|task| format!(" Call {task}() directly before it."));
            format!("{call} failed because no {kind} was next to the player.{}", by.unwrap_or_default())
        }
        Need::Seen { kind } => format!(
            "No {kind} had been seen when {call} was called. Put it in a bounded loop, and look around further whenever \
             it returns false."
        ),
        Need::Facing { kind } if kind.is_empty() => {
            format!(
                "{call} had nothing useful in front of it. What moves must be found again before every call."
            )
        }
        Need::Facing { kind } => format!(
            "The {kind} was not in front of the player any more when {call} was called: find it again before every call."
        ),
        Need::Later { until } => format!("{call} came too early. First wait: {until}."),
    };
    Some(note)
}

/// The difference between what a call had to bring and what it brought.
fn shortfall(goal: &Condition, before: &Value, after: &Value, call: &str) -> Option<String> {
    let Condition::Increased { path, by, .. } = goal else { return None };
    let number = |state: &Value| state.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let item = path.rsplit('/').next().unwrap_or(path);
    let read = path.replace('/', ".");
    if matches!(by, Amount::Literal(_)) {
        return Some(format!("It ended too early: observe(){read} had not grown. Repeat until it has."));
    }
    Some(format!(
        "{call} was called with {} {item} and ended with {}: it must gain the number asked for on top of what was \
         there. Start with: const target = observe(){read} + n;",
        number(before),
        number(after),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DemonstratedCall, UiElement, UiState};
    use serde_json::json;
    use sojourn_tools::ToolCall;

    #[test]
    fn a_demonstration_names_the_elements_that_were_acted_on() {
        let element = |id: &str, kind: &str, label: &str| UiElement {
            id: id.into(),
            kind: kind.into(),
            label: label.into(),
            disabled: false,
            hidden: false,
            groups: vec![],
            fields: vec![],
        };
        let step = |name: &str, args: Value| DemonstratedCall {
            state: UiState {
                goal: "Write \"go\" and send it.".into(),
                elements: vec![element("a", "field", "note"), element("b", "button", "")],
            },
            call: ToolCall { name: name.into(), args: args.as_object().cloned().unwrap_or_default() },
        };
        let steps =
            vec![step("type", json!({"what": "a", "text": "go"})), step("push", json!({"what": "b"}))];
        assert_eq!(
            demonstration(&Demonstration { seed: 1, steps }),
            "Write \"go\" and send it. This was done: type(\"a\", \"go\"), \"a\" being field \"note\"; push(\"b\"), \"b\" being button \"\"."
        );
    }
}
