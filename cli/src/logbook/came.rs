//! What came of a run, from a few of its records.

use super::reason_line;
use anyhow::Result;
use serde_json::Value;
use sojourn_core::{ControlRecord, Effect, LogRecord, Milestone, RecordKind};
use sojourn_memory::{EventSeq, RecordQuery, RunInfo, Store};
use std::collections::BTreeSet;
use std::time::Duration;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Came {
    /// Achievements that were unlocked in episodes.
    pub achievements: BTreeSet<String>,
    /// Skills that were admitted.
    pub skills: BTreeSet<String>,
    /// Why the run ended; `None` while it has not, or may be resumed.
    pub reason: Option<String>,
}

impl Came {
    /// Reads what came of a run. Records that cannot be read are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of(store: &Store, info: &RunInfo) -> Result<Self> {
        let kinds = [
            RecordKind::Acted,
            RecordKind::ReportMilestone,
            RecordKind::Finish,
            RecordKind::Resumed,
            RecordKind::Forked,
        ];
        let query = RecordQuery::all().kinds(kinds.map(RecordKind::as_str));
        let mut pages = store.record_pages(&info.id, query, 512).await?;
        let mut came = Self::default();
        while let Some(page) = pages.next().await? {
            for record in page {
                // The observation of a report is long, and not needed.
                if RecordKind::Acted.is(&record) {
                    came.unlock(&record.payload);
                } else if let Ok(Some(content)) = LogRecord::read(store, &record).await {
                    came.count(content);
                }
            }
        }
        Ok(came)
    }

    fn unlock(&mut self, acted: &Value) {
        let unlocked = acted.pointer("/report/unlocked").and_then(Value::as_array);
        let names = unlocked.into_iter().flatten().filter_map(|one| one.get("task")?.as_str());
        self.achievements.extend(names.map(str::to_owned));
    }

    fn count(&mut self, record: LogRecord) {
        match record {
            LogRecord::Effect(effect) => match *effect {
                Effect::ReportMilestone { milestone: Milestone::SkillAdmitted { skill, .. } } => {
                    self.skills.insert(skill);
                }
                Effect::Finish { reason } => self.reason = Some(reason_line(&reason)),
                _ => {}
            },
            LogRecord::ControlRecord(_) => self.reason = None,
            _ => {}
        }
    }

    /// `3 achievements, 1 skill; the step budget is used up`
    pub fn words(&self) -> String {
        let counted = |count: usize, what: &str| match count {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{count} {what}s")),
        };
        let counts = [counted(self.achievements.len(), "achievement"), counted(self.skills.len(), "skill")];
        let counts = counts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        [Some(counts).filter(|counts| !counts.is_empty()), self.reason.clone()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// The time that a run ran, as its budget counts it: without the pauses between two processes and without the time by which
/// the computer's clock was set.
///
/// # Errors
/// When the store fails.
pub async fn ran(store: &Store, info: &RunInfo) -> Result<Duration> {
    let at = async |seq: u64| -> Result<Option<i64>> {
        let query = RecordQuery::from(EventSeq(seq)).to(EventSeq(seq));
        Ok(store.records(&info.id, &query).await?.pop().map(|record| record.at_ms))
    };
    // The records of a fork begin before the fork was made.
    let Some(begun_ms) = at(1).await? else { return Ok(Duration::ZERO) };
    let kinds = [RecordKind::Resumed, RecordKind::Forked, RecordKind::ClockChanged];
    let query = RecordQuery::all().kinds(kinds.map(RecordKind::as_str));
    let mut paused_ms = 0_i64;
    for record in store.records(&info.id, &query).await? {
        let gap = match LogRecord::read(store, &record).await {
            Ok(Some(LogRecord::ControlRecord(control))) => {
                if let ControlRecord::ClockChanged { by_ms } = *control {
                    by_ms
                } else {
                    let before = at(record.seq.0.saturating_sub(1)).await?;
                    record.at_ms.saturating_sub(before.unwrap_or(record.at_ms))
                }
            }
            _ => 0,
        };
        paused_ms = paused_ms.saturating_add(gap);
    }
    let ran_ms = info.last_at_ms.saturating_sub(begun_ms).saturating_sub(paused_ms);
    Ok(Duration::from_millis(u64::try_from(ran_ms).unwrap_or(0)))
}
