//! Causal notes: why the attempt before failed, in one or two sentences, for a retry.
//!
//! A small model copies failed code that it is shown, and a wrong hint makes it worse. So a note is computed from the last
//! causal failure; where the cause is uncertain the note only says what happened.

use super::{WorldText, prompt};
use crate::core::planner::Planner;
use crate::model::{CallTrace, CandidateTrial, Failure};
use serde_json::Value;
use sojourn_sandbox::{CallError, LimitKind, StopCause};
use sojourn_skills::Demotion;
use sojourn_tools::{Amount, Condition, Need, Question, TaskSpec};

/// Characters of one part of a note.
pub(super) const PART: usize = 160;
/// Most calls that a note lists.
const CALLS: usize = 6;
/// Most sentences of a note.
const SENTENCES: usize = 2;

/// The note for a candidate that was not admitted. In a world with a `question` it names the goal of the failed episode.
pub(in crate::core) fn causal_note(
    planner: &Planner,
    task: &TaskSpec,
    trial: &CandidateTrial,
    question: Option<&Question>,
) -> String {
    if let Some(error) = &trial.compile_error {
        return prompt!("notes", "not_javascript", error = error);
    }
    let Some(failure) = &trial.failure else { return prompt!("notes", "failed_in_most") };
    let world = planner.world_text().or_outside(trial.untrusted);
    if let Some(question) = question {
        return question_note(world, question, failure);
    }
    let words = planner.words();
    let mut notes = Vec::new();
    if let Some(error) = &failure.error {
        notes.push(error_note(world, error));
    }
    if failure.trace.is_empty() && failure.error.is_none() {
        notes.push(prompt!("notes", "no_call"));
    }
    if let Some(note) = failure.trace.iter().rev().find_map(|call| call_note(planner, world, call)) {
        notes.push(note);
    }
    if notes.is_empty()
        && planner.rules() >= 8
        && let Some(last) = failure.trace.last().filter(|last| !last.ok && !last.message.is_empty())
    {
        notes.push(traced(world, last));
    }
    if notes.is_empty()
        && let Some(note) = shortfall(planner.world_text(), &task.goal, failure)
    {
        notes.push(note);
    }
    if failure.died {
        notes.push(prompt!("notes", "died", subject = words.subject));
    }
    if notes.is_empty() {
        notes.push(prompt!("notes", "goal_not_reached"));
    }
    notes.truncate(SENTENCES);
    notes.join(" ")
}

/// What the failed episode asked for, what the program called instead, and what came of it.
fn question_note(world: WorldText, question: &Question, failure: &Failure) -> String {
    let goal = question.path.find(&failure.before).and_then(Value::as_str);
    let failed = if let Some(goal) = goal {
        prompt!("notes", "question_failed_goal", goal = world.inline(&shortened(goal, PART)))
    } else {
        prompt!("notes", "question_failed")
    };
    let calls: Vec<String> = failure.trace.iter().take(CALLS).map(|call| traced(world, call)).collect();
    let called = if calls.is_empty() {
        prompt!("notes", "question_no_call")
    } else {
        prompt!("notes", "question_calls", calls = calls.join("; "))
    };
    let outcome = match &failure.error {
        _ if failure.died => prompt!("notes", "question_wrong"),
        Some(error) => error_note(world, error),
        None => prompt!("notes", "question_not_reached"),
    };
    [failed, called, outcome].join(" ")
}

fn traced(world: WorldText, call: &CallTrace) -> String {
    let text = shortened(&call.call, PART);
    if call.ok {
        return text;
    }
    prompt!("notes", "failed_call", call = text, message = world.inline(&shortened(&call.message, PART)))
}

/// The first `most` characters of a text.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most).chain(['…']).collect()
    }
}

fn error_note(world: WorldText, error: &CallError) -> String {
    let endless = matches!(
        error,
        CallError::Stopped { cause: StopCause::StepBudgetExhausted, .. }
            | CallError::Limit { which: LimitKind::Fuel | LimitKind::Wall | LimitKind::HostCalls, .. }
    );
    if endless {
        prompt!("notes", "endless")
    } else {
        prompt!("notes", "stopped", error = world.inline(&error.to_string()))
    }
}

/// What a failed call lacked, and which skill brings it.
fn call_note(planner: &Planner, world: WorldText, failed: &CallTrace) -> Option<String> {
    if failed.ok {
        return None;
    }
    let (call, words) = (&failed.call, planner.words());
    let note = match failed.missing.first()? {
        Need::Item { item, count, have } => {
            let short = count.saturating_sub(*have);
            match planner.provider(item).and_then(|name| planner.task(name)) {
                Some(provider) if planner.count_parameter(provider).is_some() => prompt!(
                    "notes",
                    "missing_count",
                    call = call,
                    short = short,
                    item = world.inline(item),
                    provider = provider.name,
                ),
                Some(provider) => {
                    prompt!(
                        "notes",
                        "missing_provided",
                        call = call,
                        item = world.inline(item),
                        provider = provider.name
                    )
                }
                None => prompt!("notes", "missing", call = call, short = short, item = world.inline(item)),
            }
        }
        Need::Nearby { kind } => {
            let (nearby, agent) = (&words.nearby, &words.agent);
            let mut note = prompt!(
                "notes",
                "not_nearby",
                call = call,
                kind = world.inline(kind),
                nearby = nearby,
                agent = agent
            );
            if let Some(provider) = planner.provider(kind) {
                note.push(' ');
                note.push_str(&prompt!("notes", "call_directly_before", provider = provider));
            }
            note
        }
        Need::Seen { kind } => {
            prompt!(
                "notes",
                "not_seen",
                kind = world.inline(kind),
                seen = words.seen,
                call = call,
                search = words.search,
            )
        }
        Need::Facing { kind } if kind.is_empty() => {
            prompt!("notes", "nothing_faced", call = call, facing = words.facing)
        }
        Need::Facing { kind } => prompt!(
            "notes",
            "not_faced",
            kind = world.inline(kind),
            facing = words.facing,
            agent = words.agent,
            call = call,
        ),
        Need::Later { until } => prompt!("notes", "too_early", call = call, until = world.inline(until)),
    };
    Some(note)
}

/// The difference between what a call had to bring and what it brought.
fn shortfall(world: WorldText, goal: &Condition, failure: &Failure) -> Option<String> {
    let Condition::Increased { path, by, .. } = goal else { return None };
    let Failure { before, after, call, .. } = failure;
    let number = |state: &Value| path.find(state).and_then(Value::as_i64).unwrap_or(0);
    let property = world.property(path);
    if matches!(by, Amount::Literal(_)) {
        return Some(prompt!("notes", "not_grown", property = property));
    }
    Some(prompt!(
        "notes",
        "too_few",
        call = call,
        before = number(before),
        item = world.name(&path.last().unwrap_or_default()),
        after = number(after),
        property = property,
    ))
}

/// The note for a program that the static check refused.
pub(in crate::core) fn cannot_run(problem: &str) -> String {
    prompt!("notes", "cannot_run", problem = problem)
}

/// The note for an answer in which no candidate was new and complete.
pub(in crate::core) fn too_long_or_repeated() -> String {
    prompt!("notes", "too_long_or_repeated")
}

/// The note for a request that had no usable answer.
pub(in crate::core) fn no_function(task: &str) -> String {
    prompt!("notes", "no_function", task = task)
}

/// The note for a repair that fails cases of the version that it repairs.
pub(in crate::core) fn regressed(task: &str, failed: usize, cases: usize) -> String {
    prompt!("notes", "regressed", task = task, failed = failed, cases = cases)
}

/// The note for the first round of a repair.
pub(in crate::core) fn given_up(why: &Demotion) -> String {
    let reason = match why {
        Demotion::Kills { .. } => prompt!("notes", "dangerous", reason = why),
        Demotion::Stale { .. } => prompt!("notes", "stale", reason = why),
        Demotion::Fails { .. }
        | Demotion::Wastes { .. }
        | Demotion::Regressed { .. }
        | Demotion::ByHand { .. } => why.to_string(),
    };
    prompt!("notes", "given_up", reason = reason)
}
