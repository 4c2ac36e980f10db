//! Records in words, read in order: with the names, the vitals and the goals that the records before them told.

use crate::names::SkillNames;
use crate::{counted, scope};
use serde::Serialize;
use serde_json::Value;
use sojourn_core::log::summary::{returned_line, step_line};
use sojourn_core::{Effect, Event, LogRecord, Milestone, RecordKind, SkillEvent};
use sojourn_primitives::JsonPointer;
use sojourn_skills::{LibraryEvent, Use};
use sojourn_tools::{Ending, EndingKind, FailureKind, ToolOutcome};

/// What came of a call, a skill or a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// It did what it was for.
    Done,
    /// It did not.
    Failed,
    /// The agent died in it.
    Died,
}

/// The position of a reader who puts the records of a run into words.
#[derive(Debug, Clone, Default)]
pub struct Teller {
    names: SkillNames,
    vitals: Vec<JsonPointer>,
    /// The environment's state after the last record.
    state: Value,
    /// The changes of the vitals in this record: `health 9→7`.
    changes: Vec<String>,
    /// How the episode ended, if it did.
    ended: Option<Ending>,
    /// The name of the skill or tool that the core runs, or has just run.
    act: Option<String>,
}

impl Teller {
    /// The kinds of records that tell something about later ones.
    pub const TELLING: [RecordKind; 6] = [
        RecordKind::Started,
        RecordKind::ChangeLibrary,
        RecordKind::Act,
        RecordKind::EpisodeStarted,
        RecordKind::Stepped,
        RecordKind::Acted,
    ];

    /// A reader who knows the names and vitals that this one knows, and stands before an episode: to read from any record on.
    #[must_use]
    pub fn rewound(&self) -> Self {
        Self { names: self.names.clone(), vitals: self.vitals.clone(), ..Self::default() }
    }

    /// The state of the world after the record that was entered last.
    pub fn state(&self) -> &Value {
        &self.state
    }

    /// Moves to the next record, which is `None` where its content was forgotten.
    pub fn enter(&mut self, record: Option<&LogRecord>) {
        self.changes.clear();
        let Some(record) = record else { return };
        self.names.learn(record);
        match record {
            LogRecord::Started(started) => self.vitals.clone_from(&started.environment.vitals),
            LogRecord::Effect(effect) => {
                if let Effect::Act { call, .. } = &**effect {
                    self.act = Some(call.name.clone());
                }
            }
            LogRecord::Event(event) => match &**event {
                Event::EpisodeStarted { observation, .. } => {
                    self.state = observation.state.clone();
                    self.ended = None;
                }
                Event::Acted { report } => self.state = report.observation.state.clone(),
                _ => {}
            },
            LogRecord::SkillEvent(event) => {
                if let SkillEvent::Stepped(step) = &**event {
                    let before = self.read_vitals();
                    step.apply(&mut self.state);
                    self.changes = self.changes_since(&before);
                    self.ended.clone_from(&step.ended);
                }
            }
            LogRecord::ToolDecision(_) | LogRecord::ControlRecord(_) => {}
        }
    }

    /// The record that was entered last, in one line.
    pub fn line(&self, record: Option<&LogRecord>) -> String {
        let Some(record) = record else { return crate::summary(None) };
        match record {
            LogRecord::SkillEvent(event) => match &**event {
                SkillEvent::Stepped(step) => step_line(step, &self.changes),
                SkillEvent::Returned { depth, outcome } => {
                    returned_line(*depth, outcome, self.reached(outcome))
                }
                SkillEvent::Called { .. } => record.summary(),
            },
            LogRecord::Effect(effect) => match &**effect {
                Effect::ChangeLibrary { change } => self.library_line(change),
                _ => record.summary(),
            },
            LogRecord::Event(event) => match (&**event, &self.act) {
                // A tool of the environment, which the report does not name.
                (Event::Acted { report }, Some(name)) if report.skills.is_empty() => {
                    format!("{name}: {}", record.summary())
                }
                _ => record.summary(),
            },
            LogRecord::Started(_) | LogRecord::ToolDecision(_) | LogRecord::ControlRecord(_) => {
                record.summary()
            }
        }
    }

    /// Whether the record that was entered last reports a failure.
    pub fn is_error(&self, record: &LogRecord) -> bool {
        scope::is_error(record) && returned(record).is_none_or(|outcome| self.reached(outcome).is_none())
    }

    /// Whether the agent died in the step that was entered last.
    pub fn is_death(record: &LogRecord) -> bool {
        let LogRecord::SkillEvent(event) = record else { return false };
        let SkillEvent::Stepped(step) = &**event else { return false };
        step.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Died)
    }

    /// What came of the call, the skill or the task whose end was entered last; `None` for other records.
    pub fn outcome(&self, record: &LogRecord) -> Option<CallOutcome> {
        let of = |done: bool| if done { CallOutcome::Done } else { CallOutcome::Failed };
        if let Some(outcome) = returned(record) {
            let over = outcome.failure == Some(FailureKind::EpisodeOver);
            return Some(if over && self.ended_as(EndingKind::Died) {
                CallOutcome::Died
            } else {
                of(outcome.ok || self.reached(outcome).is_some())
            });
        }
        match record {
            LogRecord::Event(event) => match &**event {
                Event::ToolAnswered { outcome, .. } => Some(of(outcome.ok)),
                Event::Acted { report } => {
                    let ending = report.ended.as_ref().map(|ending| ending.kind);
                    let held = match report.skills.last() {
                        Some(skill) => skill.verified,
                        None => report.trace.last().is_none_or(|call| call.ok),
                    };
                    Some(match ending {
                        Some(EndingKind::Died) => CallOutcome::Died,
                        Some(EndingKind::Succeeded) if report.finished() => CallOutcome::Done,
                        _ => of(report.finished() && held),
                    })
                }
                _ => None,
            },
            LogRecord::Effect(effect) => match &**effect {
                Effect::ReportMilestone { milestone: Milestone::TaskDone { verified, .. } } => {
                    Some(of(*verified))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// How the episode ended, for a call that its reached goal stopped.
    pub fn reached(&self, outcome: &ToolOutcome) -> Option<&Ending> {
        let over = outcome.failure == Some(FailureKind::EpisodeOver);
        self.ended.as_ref().filter(|ending| over && ending.kind == EndingKind::Succeeded)
    }

    /// Where the vitals stand in the state, as the world names them.
    pub fn vital_places(&self) -> &[JsonPointer] {
        &self.vitals
    }

    /// The vitals as they are now, by name: only those that the state has.
    pub fn vitals(&self) -> Vec<String> {
        let named = self.vitals.iter().zip(self.read_vitals());
        named.filter_map(|(path, value)| Some(format!("{} {}", name_of(path), number(&value?)))).collect()
    }

    fn ended_as(&self, kind: EndingKind) -> bool {
        self.ended.as_ref().is_some_and(|ending| ending.kind == kind)
    }

    fn read_vitals(&self) -> Vec<Option<Value>> {
        self.vitals.iter().map(|path| path.find(&self.state).cloned()).collect()
    }

    fn changes_since(&self, before: &[Option<Value>]) -> Vec<String> {
        let mut changes = Vec::new();
        for ((path, before), after) in self.vitals.iter().zip(before).zip(self.read_vitals()) {
            if let (Some(before), Some(after)) = (before, after)
                && *before != after
            {
                changes.push(format!("{} {}→{}", name_of(path), number(before), number(&after)));
            }
        }
        changes
    }

    fn library_line(&self, change: &LibraryEvent) -> String {
        let mut line = format!("library: {}", change.kind());
        if let Some(name) = self.names.of(change) {
            line.push(' ');
            line.push_str(&name);
        }
        if let LibraryEvent::Used { usage, .. } = change {
            line.push_str(&used(usage));
        }
        line
    }
}

/// `, done in 14 steps`
fn used(usage: &Use) -> String {
    let verdict = match (usage.died, usage.success) {
        (true, _) => "died",
        (false, true) => "done",
        (false, false) => "failed",
    };
    format!(", {verdict} in {}", counted(usage.steps, "step"))
}

fn returned(record: &LogRecord) -> Option<&ToolOutcome> {
    let LogRecord::SkillEvent(event) = record else { return None };
    match &**event {
        SkillEvent::Returned { outcome, .. } => Some(outcome),
        SkillEvent::Called { .. } | SkillEvent::Stepped(_) => None,
    }
}

fn name_of(path: &JsonPointer) -> String {
    path.last().unwrap_or_default().into_owned()
}

/// A vital, to two digits after the point.
fn number(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if !value.is_i64() && !value.is_u64() => {
            format!("{:.2}", number + 0.0).trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sojourn_core::StepRecord;
    use sojourn_tools::Action;

    fn step(action: &str, change: Value, ended: Option<Ending>) -> LogRecord {
        let record = StepRecord {
            action: Action(action.to_owned()),
            reflex: None,
            change: Some(change),
            nulls: Vec::new(),
            reward: 0.0,
            unlocked: Vec::new(),
            ended,
        };
        LogRecord::SkillEvent(Box::new(SkillEvent::Stepped(record)))
    }

    fn stopped() -> LogRecord {
        let outcome = ToolOutcome::failed_by(FailureKind::EpisodeOver, "the episode is over: solved");
        LogRecord::SkillEvent(Box::new(SkillEvent::Returned { depth: 1, outcome }))
    }

    fn at_the_start() -> Teller {
        Teller {
            vitals: vec![JsonPointer::of(["health"]), JsonPointer::of(["energy"])],
            state: json!({"health": 9, "energy": 0.5}),
            ..Teller::default()
        }
    }

    #[test]
    fn a_step_shows_the_vitals_that_changed() {
        let mut teller = at_the_start();
        for (record, expected) in [
            (step("move_up", json!({"health": 7}), None), "move_up, health 9→7"),
            (step("noop", json!({"wood": 1}), None), "noop"),
            (step("sleep", json!({"energy": 0.75}), None), "sleep, energy 0.5→0.75"),
        ] {
            teller.enter(Some(&record));
            assert_eq!(teller.line(Some(&record)), expected);
        }
    }

    #[test]
    fn a_reached_goal_is_no_failure_and_a_death_is() {
        for (kind, line, error, outcome) in [
            (EndingKind::Succeeded, "  done: the goal is reached: solved", false, CallOutcome::Done),
            (EndingKind::Died, "  failed: the episode is over: solved", true, CallOutcome::Died),
        ] {
            let mut teller = at_the_start();
            let last = step("do", json!({"health": 0}), Some(Ending { kind, cause: "solved".to_owned() }));
            teller.enter(Some(&last));
            assert_eq!(Teller::is_death(&last), error);
            let record = stopped();
            teller.enter(Some(&record));
            assert_eq!(teller.line(Some(&record)), line);
            assert_eq!((teller.is_error(&record), teller.outcome(&record)), (error, Some(outcome)));
        }
    }
}
