//! What came of a run, from a few of its records.

use crate::{ReadError, RunClock, counted, reason_line};
use serde::Serialize;
use serde_json::Value;
use sojourn_core::{Effect, LogRecord, Milestone, RecordKind};
use sojourn_memory::{EventSeq, RecordQuery, RunInfo, RunStatus, Store};
use std::collections::BTreeSet;
use std::time::Duration;

/// The most points of a curve; beyond that every second one is dropped.
const MOST_POINTS: usize = 256;

/// What came of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Came {
    /// Environment steps of the skills and tools that have ended.
    pub steps: u64,
    /// Episodes that have ended.
    pub episodes: u64,
    /// Deaths.
    pub deaths: u64,
    /// Tokens that were read without those from the cache, and tokens that were written.
    pub tokens: (u64, u64),
    /// Cost in US dollars, where prices are known.
    pub cost_usd: f64,
    /// Achievements against steps.
    pub curve: Vec<CurvePoint>,
    /// The last record that was read.
    pub upto: u64,
    /// Achievements that were unlocked in episodes.
    pub achievements: BTreeSet<String>,
    /// Skills that were admitted.
    pub skills: BTreeSet<String>,
    /// Why the run ended; `None` while it has not, or may be resumed.
    pub reason: Option<String>,
}

/// A point of the curve of achievements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CurvePoint {
    /// Environment steps so far.
    pub steps: u64,
    /// Distinct achievements so far.
    pub achievements: usize,
}

impl Came {
    /// Reads what came of a run. Records that cannot be read are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of(store: &Store, info: &RunInfo) -> Result<Self, ReadError> {
        let mut came = Self::default();
        came.read_on(store, info).await?;
        Ok(came)
    }

    /// Reads the records that were written since.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read_on(&mut self, store: &Store, info: &RunInfo) -> Result<(), ReadError> {
        let kinds = [
            RecordKind::Acted,
            RecordKind::ControllerAnswered,
            RecordKind::ReportMilestone,
            RecordKind::Finish,
            RecordKind::Resumed,
            RecordKind::Forked,
        ];
        let query = RecordQuery::from(EventSeq(self.upto + 1)).kinds(kinds.map(RecordKind::as_str));
        let mut pages = store.record_pages(&info.id, query, 64).await?;
        while let Some(page) = pages.next().await? {
            for record in page {
                self.upto = record.seq.0;
                // The observation of a report and the text of an answer are long, and not needed.
                if RecordKind::Acted.is(&record) {
                    self.acted(&record.payload);
                } else if RecordKind::ControllerAnswered.is(&record) {
                    self.answered(&record.payload);
                } else if let Ok(Some(content)) = LogRecord::read(store, &record).await {
                    self.count(content);
                }
            }
        }
        self.upto = self.upto.max(info.last_seq.0);
        Ok(())
    }

    fn acted(&mut self, acted: &Value) {
        let number = |path: &str| acted.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        self.steps = self.steps.saturating_add(number("/report/steps"));
        let died = acted.pointer("/report/ended/kind").and_then(Value::as_str) == Some("died");
        self.deaths += u64::from(died);
        let unlocked = acted.pointer("/report/unlocked").and_then(Value::as_array);
        let names = unlocked.into_iter().flatten().filter_map(|one| one.get("task")?.as_str());
        self.achievements.extend(names.map(str::to_owned));
        let point = CurvePoint { steps: self.steps, achievements: self.achievements.len() };
        let has_two = self.curve.len() > 1;
        match self.curve.last_mut() {
            // Between two achievements one point is enough: the last.
            Some(last) if last.achievements == point.achievements && has_two => *last = point,
            _ => self.curve.push(point),
        }
        if self.curve.len() > MOST_POINTS {
            let mut odd = false;
            self.curve.retain(|_| {
                odd = !odd;
                odd
            });
        }
    }

    fn answered(&mut self, answered: &Value) {
        let number = |name: &str| {
            answered.pointer(&format!("/reply/usage/{name}")).and_then(Value::as_u64).unwrap_or(0)
        };
        let read = number("prompt_tokens").saturating_sub(number("cached_tokens"));
        self.tokens.0 = self.tokens.0.saturating_add(read);
        self.tokens.1 = self.tokens.1.saturating_add(number("completion_tokens"));
        self.cost_usd += answered.pointer("/reply/cost_usd").and_then(Value::as_f64).unwrap_or(0.0);
    }

    fn count(&mut self, record: LogRecord) {
        match record {
            LogRecord::Effect(effect) => match *effect {
                Effect::ReportMilestone { milestone: Milestone::SkillAdmitted { skill, .. } } => {
                    self.skills.insert(skill);
                }
                Effect::ReportMilestone { milestone: Milestone::EpisodeEnded { .. } } => self.episodes += 1,
                Effect::Finish { reason } => self.reason = Some(reason_line(&reason)),
                _ => {}
            },
            LogRecord::ControlRecord(_) => self.reason = None,
            _ => {}
        }
    }

    /// `3 achievements, 1 skill; the step budget is used up`
    pub fn words(&self) -> String {
        let counts = [(self.achievements.len(), "achievement"), (self.skills.len(), "skill")];
        let some = counts.into_iter().filter(|(count, _)| *count > 0);
        let counts = some.map(|(count, thing)| counted(count, thing)).collect::<Vec<_>>().join(", ");
        // A reason may quote what a server answered: lines of it are one here.
        let reason =
            self.reason.as_ref().map(|reason| reason.split_whitespace().collect::<Vec<_>>().join(" "));
        [Some(counts).filter(|counts| !counts.is_empty()), reason]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// The time that a run ran, by its own clock.
///
/// # Errors
/// When the store fails.
pub async fn ran(store: &Store, info: &RunInfo) -> Result<Duration, ReadError> {
    Ok(RunClock::of(store, info).await?.ran())
}

/// The status of a run. A run that is marked as running but has no writer was cut off.
pub async fn standing(store: &Store, run: &RunInfo) -> &'static str {
    match run.status {
        RunStatus::Running if !store.is_live(&run.id).await.unwrap_or(true) => "cut off",
        status => status.as_str(),
    }
}
