//! The log as people read it: typed records, one line each.

mod scope;
pub mod sides;

pub use scope::{Scope, is_error};

use crate::error::{Failure, Kind};
use anyhow::{Context as _, Result};
use serde_json::Value;
use sojourn_core::{
    ActReport, Edit, Effect, Event, FinishReason, Grant, Interjection, Milestone, Purpose, StageEvent,
    Started, as_javascript, inflate, is_forgotten,
};
use sojourn_memory::{Record, RecordPages, RecordQuery, RunInfo, Store};
use std::collections::VecDeque;
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
    /// What was decided about a call.
    Granted(Grant),
    /// The run was resumed, or it is a fork from here on; or its tools changed.
    Interjection(Box<Interjection>),
    /// Something that was removed with a memory.
    Forgotten,
}

/// The run of that name: an id, the beginning of one, or `latest`.
///
/// # Errors
/// When there is none, or several.
pub async fn find_run(store: &Store, name: &str) -> Result<RunInfo> {
    if name != "latest" {
        return Ok(store.run(name).await?);
    }
    store.runs().await?.into_iter().next().ok_or_else(|| {
        Failure::new(Kind::NotFound, "there are no runs here yet")
            .hint("start one with `sojourn run AGENT.TOML`, or choose another home with `--home`")
            .into()
    })
}

/// The records of a run one by one, each with what it says.
pub struct Reading {
    store: Store,
    pages: RecordPages,
    ready: VecDeque<Record>,
}

impl Reading {
    /// Of these records.
    ///
    /// # Errors
    /// When the run cannot be read.
    pub async fn new(store: &Store, run: &RunInfo, query: RecordQuery) -> Result<Self> {
        const PAGE: usize = 512;
        let pages = store.record_pages(&run.id, query, PAGE).await?;
        Ok(Self { store: store.clone(), pages, ready: VecDeque::new() })
    }

    /// The next one; a later call finds what was written since.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn next(&mut self) -> Result<Option<(Record, Body)>> {
        if self.ready.is_empty() {
            self.ready.extend(self.pages.next().await?.unwrap_or_default());
        }
        let Some(record) = self.ready.pop_front() else { return Ok(None) };
        let body = read(&self.store, &record).await?;
        Ok(Some((record, body)))
    }
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
    } else if payload.get("granted").is_some() {
        Body::Granted(serde_json::from_value(payload)?)
    } else if payload.get("interjection").is_some() || payload.get("changes").is_some() {
        Body::Interjection(Box::new(Interjection::read(payload)?))
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
        Body::Granted(grant) => grant_line(grant),
        Body::Interjection(what) => interjection_line(what),
        Body::Forgotten => "forgotten".to_owned(),
    }
}

fn interjection_line(what: &Interjection) -> String {
    match what {
        Interjection::Resumed { budgets: None } => "resumed by another process".to_owned(),
        Interjection::Resumed { budgets: Some(_) } => {
            "resumed by another process, with more to use up".to_owned()
        }
        Interjection::Forked { parent, seq, model, .. } => {
            format!("forked from {parent} after its record {seq}; goes on with {}", model.name)
        }
        Interjection::Tools { appeared, vanished, notices, loose } => {
            let names: Vec<&str> = appeared.iter().map(|spec| spec.name.as_str()).collect();
            let listed = |what: &str, names: &[&str]| match names {
                [] => None,
                names => Some(format!("{what} {}", names.join(", "))),
            };
            let vanished: Vec<&str> = vanished.iter().map(String::as_str).collect();
            let loose: Vec<&str> = loose.keys().map(String::as_str).collect();
            let parts = [
                listed("there are", &names),
                listed("gone are", &vanished),
                listed("checked afterwards only:", &loose),
                (!notices.is_empty()).then(|| notices.join("; ")),
            ];
            format!("tools: {}", parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
    }
}

fn grant_line(grant: &Grant) -> String {
    let verb = if grant.granted { "may be called" } else { "is not called" };
    format!("{} {verb}: {}", grant.tool, grant.by)
}

/// What a record of each sort is called.
pub const KINDS: [&str; 31] = [
    "started",
    "reset",
    "episode_started",
    "recall",
    "recalled",
    "think",
    "thought",
    "thought_failed",
    "try",
    "tried",
    "retest",
    "retested",
    "try_reflexes",
    "reflexes_tried",
    "use_tool",
    "granted",
    "tool_answered",
    "act",
    "called",
    "stepped",
    "returned",
    "acted",
    "library",
    "remember",
    "consolidate",
    "credit",
    "milestone",
    "finish",
    "resumed",
    "forked",
    "tools",
];

fn effect_line(effect: &Effect) -> String {
    match effect {
        Effect::Reset { seed } => format!("start an episode in world {seed}"),
        Effect::Recall { query, limit: 0, tools, .. } => {
            format!("pick {} tools for \"{}\"", tools.unwrap_or_default(), short(query))
        }
        Effect::UseTool { call, .. } => format!("ask {}", as_javascript(call)),
        Effect::Recall { query, limit, lessons, .. } => {
            let what = if *lessons { "lessons like" } else { "memories about" };
            format!("look up {limit} {what} \"{}\"", short(query))
        }
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
        Effect::Survey { task, seeds } => format!("see how {} other episodes of {task} begin", seeds.len()),
        Effect::Play { plan } => {
            format!("do things by chance in {} episodes of {}", plan.seeds.len(), plan.task)
        }
        Effect::Try { plan } => {
            format!("try {} candidates for {} in {} worlds", plan.candidates.len(), plan.task, plan.worlds)
        }
        Effect::Retest { skills } => format!("test {} skills again", skills.len()),
        Effect::TryReflexes { plan } => format!(
            "try {} candidates for {} in {} practice episodes",
            plan.candidates.len(),
            plan.name,
            plan.seeds.len()
        ),
        Effect::Act { call, max_steps } => format!("{} within {max_steps} steps", as_javascript(call)),
        Effect::Library { change } => format!("library: {}", change.kind()),
        Effect::Remember { memory } => format!("remember: {}", short(&memory.text)),
        Effect::Consolidate { edits } => consolidation_line(edits),
        Effect::Credit { memories, helped } => {
            let verb = if *helped { "helped" } else { "did not help" };
            format!("{} recalled lessons {verb}", memories.len())
        }
        Effect::Tell { milestone } => milestone_line(milestone),
        Effect::Finish { reason } => format!("finish: {}", reason_line(reason)),
    }
}

/// "2 lessons, 1 merged: …".
fn consolidation_line(edits: &[Edit]) -> String {
    let texts: Vec<&str> = edits
        .iter()
        .filter_map(|edit| match edit {
            Edit::Add { text, .. } => Some(text.as_str()),
            Edit::Merge { .. } | Edit::Close { .. } => None,
        })
        .collect();
    let merged = edits.iter().filter(|edit| matches!(edit, Edit::Merge { .. })).count();
    let closed = edits.iter().filter(|edit| matches!(edit, Edit::Close { .. })).count();
    format!("{} lessons, {merged} known, {closed} contradicted: {}", texts.len(), short(&texts.join(" / ")))
}

fn event_line(event: &Event) -> String {
    match event {
        Event::EpisodeStarted { seed, observation } => format!("world {seed}: {}", short(&observation.text)),
        Event::ToolAnswered { outcome, .. } => {
            let verdict = if outcome.ok { "answered" } else { "failed" };
            format!("{verdict}: {}", short(&outcome.words()))
        }
        Event::Recalled { memories, tools } => match memories.first() {
            None if !tools.is_empty() => format!("tools: {}", tools.join(", ")),
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
        Event::Surveyed { seen } => {
            let first = |text: &String| short(text.lines().next().unwrap_or_default());
            seen.iter().map(first).collect::<Vec<_>>().join("; ")
        }
        Event::Played { shown, programs } => {
            let calls = |one: &sojourn_core::Demonstration| {
                let calls = one.steps.iter().map(|step| as_javascript(&step.call));
                calls.collect::<Vec<_>>().join(", ")
            };
            match shown.first() {
                None => "nothing reached the goal".to_owned(),
                Some(first) => format!(
                    "{} episodes reached the goal, {} programs do: {}",
                    shown.len(),
                    programs.len(),
                    short(&calls(first))
                ),
            }
        }
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
        Event::Retested { retests } => {
            let results = || retests.iter().flat_map(|retest| &retest.results);
            let passed = results().filter(|result| result.passed).count();
            format!("{} skills passed {passed} of {} cases", retests.len(), results().count())
        }
        Event::ReflexesTried { trials } => {
            let gains: Vec<String> = trials
                .iter()
                .map(|trial| match (&trial.compile_error, trial.acts) {
                    (Some(_), _) => "does not compile".to_owned(),
                    (None, false) => "does nothing".to_owned(),
                    (None, true) => {
                        let steps = trial.trial.figures().steps;
                        format!("{:+.0} steps ± {:.0}", steps.with - steps.without, steps.error)
                    }
                })
                .collect();
            format!("lives with the candidates: {}", gains.join(", "))
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
            let how = match rounds {
                0 => "by play".to_owned(),
                1 => "after 1 round".to_owned(),
                _ => format!("after {rounds} rounds"),
            };
            format!("learned {skill}: verified in {passed} of {tried} worlds, {steps:.0} steps, {how}")
        }
        Milestone::ReflexAdmitted { reflex, figures, .. } => format!(
            "learned the reflex {reflex}: practice lives of {:.0} steps with it, {:.0} ± {:.0} without; {} and {} of {} ended in death",
            figures.steps.with,
            figures.steps.without,
            figures.steps.error,
            figures.deaths_with,
            figures.deaths_without,
            figures.episodes
        ),
        Milestone::ReflexGivenUp { cause } => format!("found no reflex against: {cause}"),
        Milestone::SkillGivenUp { task } => format!("gave {task} up for now"),
        Milestone::SkillDemoted { skill } => format!("{skill} must be earned again"),
        Milestone::SkillMerged { skill, into } => {
            format!("{skill} does what {into} does: it is another name of it")
        }
        Milestone::SkillRetested { skill, passed } => {
            format!("{skill} rests on what changed, and passed {passed} cases again")
        }
        Milestone::TaskDone { task, verified, steps } => {
            format!("{task} {} in {steps} steps", if *verified { "done" } else { "failed" })
        }
        Milestone::Nudged { what, times } => {
            format!("did {what} {times} times in a row for nothing; told so")
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
        FinishReason::ToolCalls => "all tool calls were made".to_owned(),
        FinishReason::Cost => "all the money is spent".to_owned(),
        FinishReason::Repetition { what } => format!("the agent did {what} again and again"),
        FinishReason::Controller { error } => format!("the controller failed again and again: {error}"),
    }
}

/// What the controller is asked for, as a verb.
pub fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Choose => "choose",
        Purpose::Write => "write",
        Purpose::Reflect => "reflect",
        Purpose::WriteReflex => "write a reflex",
        Purpose::Consolidate => "draw lessons",
        Purpose::Compare => "compare lessons",
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
