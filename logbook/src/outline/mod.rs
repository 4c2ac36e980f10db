//! A whole run in a few bytes a record: what each record is, how records are grouped, and how the run grew.
//!
//! An outline is made by reading a run once, and grows with it. It holds no payloads: whoever shows a record reads it again.

mod filter;
mod groups;
mod series;
#[cfg(test)]
mod tests;

pub use filter::{Bucket, Filter};
pub use groups::{Group, GroupKind};
pub use series::{First, SeriesPoint};

use crate::{CallOutcome, Entry, ReadError, Reading, RunClock, Teller};
use groups::Groups;
use serde::Serialize;
use series::Series;
use sojourn_core::{ControlRecord, Effect, Event, LogRecord, Milestone, RecordKind, SkillEvent};
use sojourn_memory::{EventSeq, RecordQuery, RunInfo, Store};
use sojourn_primitives::JsonPointer;
use std::collections::{BTreeMap, BTreeSet};

/// What a record is, in bits.
pub mod flag {
    /// It reports a failure.
    pub const FAILURE: u8 = 1;
    /// It unlocks an achievement that the run did not have yet.
    pub const ACHIEVEMENT: u8 = 2;
    /// The agent dies.
    pub const DEATH: u8 = 4;
    /// A lesson is stored.
    pub const LESSON: u8 = 8;
    /// A skill or a reflex is admitted.
    pub const SKILL: u8 = 16;
    /// A reflex took the step.
    pub const REFLEX: u8 = 32;
    /// The record or its content cannot be read.
    pub const DAMAGED: u8 = 64;
    /// A try that failed without harm to the run: a candidate in practice worlds, or a call in a skill, which deals with it.
    pub const TRY: u8 = 128;
}

/// Stands for a kind that this version does not know.
const UNKNOWN: u8 = u8::MAX;
/// The most defects that are kept in words.
const MOST_DAMAGE: usize = 100;

/// A record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Number of the record.
    pub seq: u64,
    /// Its defect.
    pub reason: String,
}

/// A run in outline.
#[derive(Debug, Default)]
pub struct Outline {
    /// The kind of each record, as an index into [`RecordKind::ALL`].
    kinds: Vec<u8>,
    /// The [`flag`]s of each record.
    flags: Vec<u8>,
    groups: Groups,
    series: Series,
    clock: RunClock,
    /// Records from which the state of the world is known without those before them.
    anchors: Vec<u64>,
    teller: Teller,
    damage: Vec<Damage>,
    damaged: u64,
    environment: Option<String>,
    remembers: Option<bool>,
    title: String,
}

/// Records that were read and are not in an outline yet.
pub struct Batch {
    entries: Vec<Entry>,
    has_more: bool,
}

impl Batch {
    /// Reads at most `limit` records after record `after`.
    ///
    /// # Errors
    /// When the store fails. A damaged record is no error.
    pub async fn read(store: &Store, info: &RunInfo, after: u64, limit: usize) -> Result<Self, ReadError> {
        let mut reading = Reading::new(store, info, RecordQuery::from(EventSeq(after + 1)))
            .await?
            .without_texts_except(BTreeSet::new(), &[RecordKind::ControllerAnswered]);
        let mut entries = Vec::new();
        while entries.len() < limit {
            let Some(entry) = reading.next_intact().await? else {
                return Ok(Self { entries, has_more: false });
            };
            entries.push(entry);
        }
        Ok(Self { entries, has_more: true })
    }

    /// Whether there may be more records after these.
    pub fn has_more(&self) -> bool {
        self.has_more
    }
}

impl Outline {
    /// Reads at most `limit` records that were written since; returns whether there may be more.
    ///
    /// # Errors
    /// As [`Batch::read`].
    pub async fn read_on(&mut self, store: &Store, info: &RunInfo, limit: usize) -> Result<bool, ReadError> {
        let batch = Batch::read(store, info, self.len(), limit).await?;
        let more = batch.has_more;
        self.add(batch);
        Ok(more)
    }

    /// Adds the records that follow those of the outline.
    pub fn add(&mut self, batch: Batch) {
        for entry in batch.entries {
            match entry {
                Entry::Record(record, content) => {
                    self.fill(record.seq.0);
                    let kind = kind_index(&record.kind);
                    let known = content.as_ref().ok().and_then(Option::as_ref);
                    self.clock.enter(record.seq.0, record.at_ms, known);
                    match content {
                        Ok(content) => self.enter(record.seq.0, record.at_ms, kind, content.as_ref()),
                        Err(error) => {
                            self.push(kind, flag::DAMAGED);
                            self.damaged(record.seq.0, error.to_string());
                        }
                    }
                }
                Entry::Damaged { seq, reason } => {
                    self.fill(seq.0);
                    self.push(UNKNOWN, flag::DAMAGED);
                    self.damaged(seq.0, reason);
                }
            }
        }
    }

    /// Gives back the memory that is kept for records to come: up to as much again as what is used.
    pub fn shrink(&mut self) {
        self.kinds.shrink_to_fit();
        self.flags.shrink_to_fit();
        self.anchors.shrink_to_fit();
        self.groups.shrink();
    }

    /// Number of records that were read, which is the sequence number of the last one.
    pub fn len(&self) -> u64 {
        self.kinds.len() as u64
    }

    /// Whether no record was read yet.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The groups that begin within `first..=last`, ordered so that a group stands before those in it.
    pub fn groups(&self, first: u64, last: u64, levels: std::ops::RangeInclusive<u8>) -> Vec<Group> {
        self.groups.within(first, last, levels, self.len(), usize::MAX).0
    }

    /// The first `limit` of them, and the number of all of them.
    pub fn groups_page(
        &self,
        first: u64,
        last: u64,
        levels: std::ops::RangeInclusive<u8>,
        limit: usize,
    ) -> (Vec<Group>, usize) {
        self.groups.within(first, last, levels, self.len(), limit)
    }

    /// Number of groups of all levels.
    pub fn group_count(&self) -> usize {
        self.groups.count()
    }

    /// The episode that holds the record: its group; `None` before the first.
    pub fn episode_at(&self, seq: u64) -> Option<Group> {
        self.groups.episode_at(seq, self.len())
    }

    /// The run's own time.
    pub fn clock(&self) -> &RunClock {
        &self.clock
    }

    /// How the run grew.
    pub fn series(&self) -> &[SeriesPoint] {
        self.series.points()
    }

    /// Achievements, each with the record that first unlocked it, in order.
    pub fn firsts(&self) -> &[First] {
        self.series.firsts()
    }

    /// Names of the skills and reflexes that were admitted, each with its record, in order.
    pub fn admitted(&self) -> &[First] {
        self.series.admitted()
    }

    /// How often each task was done and failed, by its name.
    pub fn tasks(&self) -> &BTreeMap<String, (u64, u64)> {
        self.series.tasks()
    }

    /// Defects, the first hundred, and the number of all.
    pub fn damage(&self) -> (&[Damage], u64) {
        (&self.damage, self.damaged)
    }

    /// Name of the environment, as the first record has it.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// Where the world's vitals stand in its state.
    pub fn vitals(&self) -> &[JsonPointer] {
        self.teller.vital_places()
    }

    /// Whether memories are kept and recalled, as the settings say that were made last.
    pub fn remembers(&self) -> Option<bool> {
        self.remembers
    }

    /// The first record in one line.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The kind of a record; `None` where it is not known.
    pub fn kind(&self, seq: u64) -> Option<RecordKind> {
        let index = self.kinds.get(usize::try_from(seq.checked_sub(1)?).ok()?)?;
        RecordKind::ALL.get(usize::from(*index)).copied()
    }

    /// The [`flag`]s of a record; 0 where it is not known.
    pub fn flags(&self, seq: u64) -> u8 {
        let index = seq.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.flags.get(index)).copied().unwrap_or(0)
    }

    /// The last record of that kind before `seq`.
    pub fn last_before(&self, seq: u64, kind: RecordKind) -> Option<u64> {
        let end = usize::try_from(seq.saturating_sub(1)).ok()?.min(self.kinds.len());
        let wanted = kind_index(kind.as_str());
        let found = self.kinds[..end].iter().rposition(|kind| *kind == wanted)?;
        Some(found as u64 + 1)
    }

    /// The last record at or before `seq` that holds the whole state of the world; 1 where there is none.
    pub fn anchor(&self, seq: u64) -> u64 {
        let after = self.anchors.partition_point(|anchor| *anchor <= seq);
        after.checked_sub(1).map_or(1, |index| self.anchors[index])
    }

    /// A reader of records that knows the names and vitals of the run, and stands before an episode.
    pub fn teller(&self) -> Teller {
        self.teller.rewound()
    }

    /// Sequence numbers of the records that match, in order.
    pub fn matching(&self, filter: Filter) -> impl Iterator<Item = u64> {
        filter.all(&self.kinds, &self.flags)
    }

    /// Number of the records until `seq` that match.
    pub fn count(&self, filter: Filter, seq: u64) -> usize {
        self.matching(filter).take_while(|one| *one <= seq).count()
    }

    /// Whether the record matches.
    pub fn matching_one(&self, filter: Filter, seq: u64) -> bool {
        let index = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX);
        let found = self.kinds.get(index).zip(self.flags.get(index));
        found.is_some_and(|(kind, flags)| filter.matches(*kind, *flags))
    }

    /// The next match after `seq`, or the one before it.
    pub fn next(&self, filter: Filter, seq: u64, backwards: bool) -> Option<u64> {
        filter.next(&self.kinds, &self.flags, seq, backwards)
    }

    /// The records `first..=last` in at most `count` buckets of equal size.
    pub fn buckets(&self, first: u64, last: u64, count: usize) -> Vec<Bucket> {
        filter::buckets(&self.flags, first, last, count)
    }

    fn enter(&mut self, seq: u64, at_ms: i64, kind: u8, content: Option<&LogRecord>) {
        self.teller.enter(content);
        let mut flags = 0;
        if let Some(record) = content {
            if self.teller.is_error(record) {
                flags |= if is_try(record) { flag::TRY } else { flag::FAILURE };
            }
            if Teller::is_death(record) {
                flags |= flag::DEATH;
            }
            flags |= self.series.enter(seq, at_ms, self.clock.at(seq, at_ms), record);
            flags |= of_content(record);
            if let LogRecord::Started(started) = record {
                self.environment = Some(started.environment.name.clone());
                self.remembers = Some(started.config.memory);
                self.title = record.summary();
            }
            if let LogRecord::ControlRecord(control) = record
                && let ControlRecord::Forked { changes, .. } = &**control
                && let Some(config) = &changes.config
            {
                self.remembers = Some(config.memory);
            }
            if let LogRecord::Event(event) = record
                && matches!(&**event, Event::EpisodeStarted { .. } | Event::Acted { .. })
            {
                self.anchors.push(seq);
            }
            let outcome: Option<CallOutcome> = self.teller.outcome(record);
            self.groups.enter(seq, at_ms, record, outcome, &self.teller);
        }
        self.groups.count_record(flags, content);
        self.push(kind, flags);
    }

    /// Records before `seq` that are not there at all.
    fn fill(&mut self, seq: u64) {
        // A log may say any number; more than a page of missing records is told by its beginning.
        while self.len() + 1 < seq {
            let missing = self.len() + 1;
            self.push(UNKNOWN, flag::DAMAGED);
            self.damaged(missing, "the record is missing".to_owned());
            if missing.saturating_add(1_000_000) < seq {
                break;
            }
        }
    }

    fn push(&mut self, kind: u8, flags: u8) {
        self.kinds.push(kind);
        self.flags.push(flags);
    }

    fn damaged(&mut self, seq: u64, reason: String) {
        self.damaged += 1;
        if self.damage.len() < MOST_DAMAGE {
            self.damage.push(Damage { seq, reason });
        }
    }
}

/// Whether a record that reports a failure reports one of something that was only tried. What the run itself failed at is reported
/// by the records around it: the call of the core, the task, the death.
fn is_try(record: &LogRecord) -> bool {
    match record {
        LogRecord::Event(event) => matches!(
            **event,
            Event::CandidatesTried { .. } | Event::ReflexesTried { .. } | Event::SkillsRetested { .. }
        ),
        LogRecord::SkillEvent(event) => matches!(**event, SkillEvent::Returned { .. }),
        _ => false,
    }
}

/// What a record is by itself.
fn of_content(record: &LogRecord) -> u8 {
    match record {
        LogRecord::Effect(effect) => match &**effect {
            Effect::ReportMilestone {
                milestone: Milestone::SkillAdmitted { .. } | Milestone::ReflexAdmitted { .. },
            } => flag::SKILL,
            Effect::Remember { .. } => flag::LESSON,
            _ => 0,
        },
        LogRecord::SkillEvent(event) => match &**event {
            SkillEvent::Stepped(step) if step.reflex.is_some() => flag::REFLEX,
            _ => 0,
        },
        _ => 0,
    }
}

/// The index of a kind in [`RecordKind::ALL`].
pub(crate) fn kind_index(name: &str) -> u8 {
    let index = RecordKind::ALL.iter().position(|kind| kind.as_str() == name);
    index.and_then(|index| u8::try_from(index).ok()).unwrap_or(UNKNOWN)
}
