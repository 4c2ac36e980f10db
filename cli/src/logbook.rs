//! The log as people read it: typed records, one line each.

use anyhow::{Context as _, Result};
use serde_json::Value;
use sojourn_core::{
    ActReport, Effect, Event, FinishReason, Milestone, Purpose, StageEvent, Started, as_javascript, inflate,
    is_forgotten,
};
use sojourn_memory::{Record, Store};
use std::fmt::Write as _;

/// What a record says.
pub enum Body {
    /// What the run starts from.
    Started(Box<Started>),
    /// Something that the agent asked for.
    Effect(Box<Effect>),
    /// Something that happened to it.
    Event(Box<Event>),
    /// Something that happened while a skill ran.
    Stage(Box<StageEvent>),
    /// Something that was removed with a memory.
    Forgotten,
}

/// A record with its blobs put back.
///
/// # Errors
/// When a blob is missing or damaged.
pub async fn whole(store: &Store, record: &Record) -> Result<Value> {
    Ok(inflate(store, record.seq, record.payload.clone()).await?)
}

/// What a record says, typed.
///
/// # Errors
/// When a blob is missing, or the record is of a version that this program does not know.
pub async fn read(store: &Store, record: &Record) -> Result<Body> {
    let payload = whole(store, record).await?;
    decode(payload).with_context(|| format!("record {} (`{}`) cannot be read", record.seq, record.kind))
}

/// Every sort of payload has a tag of its own, except the first record.
fn decode(payload: Value) -> serde_json::Result<Body> {
    Ok(if is_forgotten(&payload) {
        Body::Forgotten
    } else if payload.get("effect").is_some() {
        Body::Effect(Box::new(serde_json::from_value(payload)?))
    } else if payload.get("event").is_some() {
        Body::Event(Box::new(serde_json::from_value(payload)?))
    } else if payload.get("on").is_some() {
        Body::Stage(Box::new(serde_json::from_value(payload)?))
    } else {
        Body::Started(Box::new(serde_json::from_value(payload)?))
    })
}

/// A record in one line.
pub fn summary(body: &Body) -> String {
    match body {
        Body::Started(started) => format!(
            "{} {} with {}; {} skills, {} reflexes, seed {}",
            started.environment.name,
            started.environment.version,
            started.model.name,
            started.library.all_active().count(),
            started.reflexes.len(),
            started.config.seed
        ),
        Body::Effect(effect) => effect_line(effect),
        Body::Event(event) => event_line(event),
        Body::Stage(event) => stage_line(event),
        Body::Forgotten => "forgotten".to_owned(),
    }
}

fn effect_line(effect: &Effect) -> String {
    match effect {
        Effect::Reset { seed } => format!("start an episode in world {seed}"),
        Effect::Recall { query, limit } => format!("look up {limit} memories about \"{}\"", short(query)),
        Effect::Think { purpose, request } => {
            let characters: usize =
                request.messages.iter().map(|message| message.text().chars().count()).sum();
            format!(
                "{}: a prompt of {characters} characters, {} × up to {} tokens",
                purpose_name(*purpose),
                request.candidates,
                request.max_tokens
            )
        }
        Effect::Try { plan } => {
            format!("try {} candidates for {} in {} worlds", plan.candidates.len(), plan.task, plan.worlds)
        }
        Effect::Act { call, max_steps } => format!("{} within {max_steps} steps", as_javascript(call)),
        Effect::Library { change } => format!("library: {}", change.kind()),
        Effect::Remember { memory } => format!("remember: {}", short(&memory.text)),
        Effect::Tell { milestone } => milestone_line(milestone),
        Effect::Finish { reason } => format!("finish: {}", reason_line(reason)),
    }
}

fn event_line(event: &Event) -> String {
    match event {
        Event::EpisodeStarted { seed, observation } => format!("world {seed}: {}", short(&observation.text)),
        Event::Recalled { memories } => match memories.first() {
            Some(best) => format!("{} memories, the best: {}", memories.len(), short(&best.text)),
            None => "no memories".to_owned(),
        },
        Event::Thought { reply } => {
            let text = reply.candidates.first().map(|candidate| short(&candidate.text)).unwrap_or_default();
            format!(
                "{} + {} tokens in {:.1} s: {text}",
                reply.usage.prompt_tokens.saturating_sub(reply.usage.cached_tokens),
                reply.usage.completion_tokens,
                (reply.timing.prefill_ms + reply.timing.decode_ms) as f64 / 1000.0
            )
        }
        Event::ThoughtFailed { error } => format!("the controller failed: {}", short(error)),
        Event::Tried { trials } => {
            let passes: Vec<String> = trials
                .iter()
                .map(|trial| match trial.compile_error {
                    Some(_) => "does not compile".to_owned(),
                    None => format!("{}/{}", trial.report.passes(), trial.report.worlds.len()),
                })
                .collect();
            format!("candidates verified in {}", passes.join(", "))
        }
        Event::Acted { report } => acted_line(report),
    }
}

/// How a skill's run in the episode went.
pub fn acted_line(report: &ActReport) -> String {
    // Writing to a string cannot fail.
    let mut line = format!("{} steps", report.steps);
    if report.reflex_steps > 0 {
        let _ = write!(line, " ({} by reflexes)", report.reflex_steps);
    }
    if !report.unlocked.is_empty() {
        let names: Vec<&str> = report.unlocked.iter().map(|unlocked| unlocked.task.as_str()).collect();
        let _ = write!(line, "; unlocked {}", names.join(", "));
    }
    if let Some(error) = &report.error {
        let _ = write!(line, "; {}", short(&error.to_string()));
    }
    if let Some(ending) = &report.ended {
        let _ = write!(line, "; the episode is over: {}", ending.cause);
    }
    line
}

fn stage_line(event: &StageEvent) -> String {
    match event {
        StageEvent::Called { depth, call } => format!("{}{}", indent(*depth), as_javascript(call)),
        StageEvent::Stepped(step) => {
            let mut line = step.action.0.clone();
            if let Some(reflex) = &step.reflex {
                let _ = write!(line, " by reflex {reflex}");
            }
            if !step.unlocked.is_empty() {
                let _ = write!(line, ", unlocked {}", step.unlocked.join(", "));
            }
            if let Some(ending) = &step.ended {
                let _ = write!(line, ", the episode is over: {}", ending.cause);
            }
            line
        }
        StageEvent::Returned { depth, outcome } => {
            let verdict = if outcome.ok { "done" } else { "failed" };
            format!("{}{verdict}: {}", indent(*depth), short(&outcome.message))
        }
    }
}

/// A milestone in one line.
pub fn milestone_line(milestone: &Milestone) -> String {
    match milestone {
        Milestone::TaskChosen { task, learning: true } => format!("learning {task}"),
        Milestone::TaskChosen { task, learning: false } => format!("doing {task}"),
        Milestone::SkillAdmitted { skill, verified: (passed, tried), steps, rounds } => {
            let rounds = if *rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") };
            format!(
                "learned {skill}: verified in {passed} of {tried} worlds, {steps:.0} steps, after {rounds}"
            )
        }
        Milestone::SkillGivenUp { task } => format!("gave {task} up for now"),
        Milestone::SkillDemoted { skill } => format!("{skill} must be earned again"),
        Milestone::TaskDone { task, verified, steps } => {
            format!("{task} {} in {steps} steps", if *verified { "done" } else { "failed" })
        }
        Milestone::EpisodeEnded { cause, achievements, steps } => {
            format!("episode over after {steps} steps with {achievements} achievements: {cause}")
        }
    }
}

/// Why a run ended, in words.
pub fn reason_line(reason: &FinishReason) -> String {
    match reason {
        FinishReason::Steps => "all steps were taken".to_owned(),
        FinishReason::Time => "the time is over".to_owned(),
        FinishReason::Tokens => "all tokens were generated".to_owned(),
        FinishReason::Episodes => "all episodes are over".to_owned(),
        FinishReason::Controller { error } => format!("the controller failed again and again: {error}"),
    }
}

/// What the controller is asked for, as a verb.
pub fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Choose => "choose",
        Purpose::Write => "write",
        Purpose::Reflect => "reflect",
    }
}

/// The text on one line, cut where it gets long.
pub fn short(text: &str) -> String {
    const LENGTH: usize = 100;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn indent(depth: u32) -> String {
    "  ".repeat(depth as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_are_read_by_their_tags() {
        for (payload, expected) in [
            (json!({"effect": "reset", "seed": 7}), "start an episode in world 7"),
            (json!({"event": "thought_failed", "error": "no  answer\n"}), "the controller failed: no answer"),
            (json!({"on": "stepped", "action": "noop", "reflex": "fight"}), "noop by reflex fight"),
            (
                json!({"effect": "tell", "milestone": {"milestone": "task_done", "task": "drink", "verified": true, "steps": 9}}),
                "drink done in 9 steps",
            ),
        ] {
            assert_eq!(summary(&decode(payload).unwrap()), expected);
        }
        assert!(decode(json!({"effect": "fly"})).is_err());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(short("a\n b"), "a b");
        assert_eq!(short(&"é".repeat(200)).chars().count(), 101);
    }
}
