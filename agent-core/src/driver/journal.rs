//! The log as the driver sees it: recorded records are compared or answered from, later ones are appended.
//!
//! Replay, resume and a first run are the same program. While recorded records are left, derived records must equal them,
//! and results from outside are taken from them. After the last recorded record the run is live.

use super::clock::{Clock, RecordIndex, RunningTime, Time, TimeSource as _};
use super::log_budget::LogBudget;
use super::replay::RecordedRun;
use super::run_media::RunMedia;
use super::time_limit::TimeLimit;
use crate::config::Budgets;
use crate::log::ReadError;
use crate::log::blobs::{Externalised, TooLarge, externalise, is_forgotten};
use crate::model::{ControlRecord, Event, LogRecord, Payload, RecordKind, TimedControl};
use serde_json::Value;
use sojourn_memory::{BlobId, Durability, EventSeq, Record, RunStatus, Store, Writer};
use sojourn_tools::Media;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The log of one run, recorded part first.
pub struct Journal {
    store: Store,
    recorded: VecDeque<Record>,
    /// `None` when the run is only replayed.
    writer: Option<Writer>,
    clock: Time,
    /// Written before the first live record.
    pending_control: Option<ControlRecord>,
    /// Control records that were read or written and not yet taken by [`Journal::take_controls`].
    controls: Vec<TimedControl>,
    /// Called once this record is durable; ends the process.
    crash: Option<(EventSeq, fn())>,
    /// Whether recorded results of trials are taken from the log instead of running the trials again.
    trusts_trials: bool,
    /// The last record that was written in another home; 0 if there is none.
    imported_until: EventSeq,
    /// The last record that was copied from another run; 0 if there is none.
    copied_until: EventSeq,
    /// The last record of an earlier process; 0 where there is none.
    recorded_until: EventSeq,
    seq: EventSeq,
    at_ms: i64,
    /// Number of records so far, control records not counted.
    index: RecordIndex,
    /// Results of trials in another log, by the index of their record.
    trial_results: BTreeMap<usize, LogRecord>,
    /// Calls of tools in trials in another log, by the index of the record after them.
    trial_calls: BTreeMap<usize, Vec<ControlRecord>>,
    /// How many such calls were read before the record of this index.
    trial_calls_read: (usize, usize),
    matched: u64,
    /// The bytes of pictures and sounds that records refer to.
    media: Option<Arc<RunMedia>>,
    budget: LogBudget,
}

/// A record that was appended, or compared with the recorded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Its sequence number.
    pub seq: EventSeq,
    /// Its time, milliseconds since 1970.
    pub at_ms: i64,
    /// Whether it was recorded before this process.
    pub replayed: bool,
    /// Whether it was recorded in another home or copied from another run: what it says of the library and of memories changes
    /// nothing here, and nobody's approval in it counts.
    pub foreign: bool,
}

/// Why the journal cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The program derived another record than the recorded one.
    #[error("record {seq} differs from the log: recorded {recorded}, now {now}")]
    Diverged {
        /// The record.
        seq: EventSeq,
        /// Its kind, and what differs in its payload.
        recorded: String,
        /// The derived kind, and what differs in the derived payload.
        now: String,
    },
    /// The recorded part has ended, and the journal has no writer.
    #[error("the recorded part of the run ends here")]
    End,
    /// The log could not be written.
    #[error("{0}")]
    Log(#[from] sojourn_memory::Error),
    /// A record could not be read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// A payload could not be written as JSON.
    #[error("not serialisable: {0}")]
    Json(#[from] serde_json::Error),
    /// A payload is larger than a reader accepts.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The run's log has used its budget.
    #[error(
        "the log of the run has its {limit} bytes (`run.budgets.log_bytes`): what talks so much, a world or a server? With a larger \
         budget the run can be resumed: `--set run.budgets.log_bytes={}`",
        .limit.saturating_mul(2)
    )]
    OverBudget {
        /// The budget, in bytes.
        limit: u64,
    },
}

impl Journal {
    /// A journal that first goes through `recorded`, then appends to `writer`, if there is one.
    pub fn new(store: Store, recorded: Vec<Record>, writer: Option<Writer>) -> Self {
        Self {
            store,
            recorded_until: recorded.last().map_or(EventSeq(0), |record| record.seq),
            recorded: recorded.into(),
            writer,
            clock: Time::new(Clock::default()),
            pending_control: None,
            controls: Vec::new(),
            crash: None,
            trusts_trials: false,
            imported_until: EventSeq(0),
            copied_until: EventSeq(0),
            seq: EventSeq(0),
            at_ms: 0,
            index: RecordIndex::default(),
            trial_results: BTreeMap::new(),
            trial_calls: BTreeMap::new(),
            trial_calls_read: (0, 0),
            matched: 0,
            media: None,
            budget: LogBudget::new(None),
        }
    }

    /// Ends the run when its log has used its budget.
    #[must_use]
    pub(super) fn with_budget(mut self, budgets: &Budgets) -> Self {
        self.budget = LogBudget::new(Some(budgets));
        self
    }

    /// Records up to `imported` were written in another home, and those up to `copied` by another run. 0: none.
    #[must_use]
    pub fn with_foreign(mut self, imported: EventSeq, copied: EventSeq) -> Self {
        (self.imported_until, self.copied_until) = (imported, copied);
        self
    }

    /// Whether some records were written in another home.
    pub fn is_imported(&self) -> bool {
        self.imported_until > EventSeq(0)
    }

    /// Takes the bytes of pictures and sounds that records refer to from `media`.
    #[must_use]
    pub(super) fn with_media(mut self, media: Arc<RunMedia>) -> Self {
        self.media = Some(media);
        self
    }

    /// Takes the times of live records from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = Time::new(clock);
        self
    }

    /// Writes `control` before the first live record.
    #[must_use]
    pub fn with_pending_control(mut self, control: ControlRecord) -> Self {
        self.pending_control = Some(control);
        self
    }

    /// Takes recorded results of trials from the log. Otherwise trials run again and are compared: a verification wants
    /// that, and a resume would only lose time.
    #[must_use]
    pub fn trusting_trials(mut self) -> Self {
        self.trusts_trials = true;
        self
    }

    /// Takes results of trials, and the calls of tools in them, from another log, where trials cannot run here.
    #[must_use]
    pub fn with_trials_of(mut self, recorded: &RecordedRun) -> Self {
        self.trial_results = recorded.trial_results();
        self.trial_calls = recorded.trial_calls();
        self
    }

    /// Writes the calls of tools that another log has before the result of the trial at this place. Only valid after the recorded
    /// part.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn repeat_trial_calls(&mut self) -> Result<(), JournalError> {
        let index = self.index.now();
        let read = if self.trial_calls_read.0 == index { self.trial_calls_read.1 } else { 0 };
        for call in self.trial_calls.remove(&index).unwrap_or_default().into_iter().skip(read) {
            self.append_control(call).await?;
        }
        Ok(())
    }

    /// The result of a trial that another log has at this index. Only valid after the recorded part.
    pub fn trial_result(&self) -> Option<&LogRecord> {
        self.trial_results.get(&self.index.now())
    }

    /// The number of records so far, as a handle that follows the journal.
    pub fn record_index(&self) -> RecordIndex {
        self.index.clone()
    }

    /// Whether recorded results of trials are taken from the log.
    pub fn trusts_trials(&self) -> bool {
        self.trusts_trials
    }

    /// Calls `crash`, which should not return, as soon as record `seq` is durable: to test what a resume makes of it.
    #[must_use]
    pub fn crashing(mut self, seq: EventSeq, crash: fn()) -> Self {
        self.crash = Some((seq, crash));
        self
    }

    /// Number of recorded records that were compared and matched.
    pub fn matched(&self) -> u64 {
        self.matched
    }

    /// Whether recorded records are left.
    pub fn replaying(&self) -> bool {
        !self.recorded.is_empty()
    }

    /// The recorded records that are left.
    pub fn left(&self) -> impl Iterator<Item = &Record> {
        self.recorded.iter()
    }

    /// The store of the records.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether the run continues after the recorded part.
    pub fn writes(&self) -> bool {
        self.writer.is_some()
    }

    /// Appends a derived record, or compares it with the recorded one.
    ///
    /// # Errors
    /// [`JournalError::Diverged`], [`JournalError::End`], or a failure of the store.
    pub async fn note(&mut self, record: &impl Payload) -> Result<Noted, JournalError> {
        self.note_payload(record.kind(), &record.to_payload()?).await
    }

    /// As [`note`](Self::note), for a payload that was changed after it was written as JSON.
    ///
    /// # Errors
    /// Those of [`note`](Self::note).
    pub async fn note_payload(&mut self, kind: RecordKind, payload: &Value) -> Result<Noted, JournalError> {
        self.pass_controls().await?;
        let Externalised { payload: compact, contents } = externalise(payload)?;
        if let Some(record) = self.take() {
            self.index.advance();
            for content in &contents {
                self.budget.add(content.len() as u64);
            }
            // A forgotten record is derived again, but its content is gone and cannot be compared.
            let same = record.payload == compact || is_forgotten(&record.payload);
            if !kind.is(&record) || !same {
                return Err(JournalError::Diverged {
                    seq: record.seq,
                    recorded: excerpt(&record.kind, &record.payload, &compact),
                    now: excerpt(kind.as_str(), &compact, &record.payload),
                });
            }
            self.matched += 1;
            return Ok(self.replayed(&record));
        }
        self.note_clock_change().await?;
        let at_ms = self.clock.own(self.index.now()).ok_or(JournalError::End)?;
        let noted = self.append(kind, at_ms, compact, &contents).await?;
        self.index.advance();
        Ok(noted)
    }

    fn replayed(&self, record: &Record) -> Noted {
        Noted { seq: record.seq, at_ms: record.at_ms, replayed: true, foreign: self.is_foreign(record.seq) }
    }

    fn is_foreign(&self, seq: EventSeq) -> bool {
        seq <= self.imported_until.max(self.copied_until)
    }

    /// The control records at this place of the log. Where the recorded part ends, the pending one is written.
    ///
    /// # Errors
    /// When one cannot be read or written.
    pub async fn take_controls(&mut self) -> Result<Vec<TimedControl>, JournalError> {
        self.pass_controls().await?;
        Ok(std::mem::take(&mut self.controls))
    }

    /// Takes the control records that were passed, in their order, except changes of tools and goals, which wait for
    /// [`take_controls`](Self::take_controls). They concern the event after them: pauses move its time, and calls in an interrupted
    /// trial count for its budget.
    pub fn take_pauses(&mut self) -> Vec<TimedControl> {
        let waits = |record: &ControlRecord| {
            matches!(record, ControlRecord::ToolsChanged { .. } | ControlRecord::GoalAdded { .. })
        };
        let pauses = |control: &mut TimedControl| !waits(&control.record);
        self.controls.extract_if(.., pauses).collect()
    }

    /// The end of the run's time, which is at `deadline_ms` by the times of records. There is none while records are replayed.
    pub(super) fn time_limit(&mut self, deadline_ms: Option<i64>) -> TimeLimit {
        if self.replaying() || !self.writes() {
            return TimeLimit::None;
        }
        self.clock.limit(self.index.clone(), deadline_ms)
    }

    /// Before a live record: notes that the clock was set since the record before, if it was.
    async fn note_clock_change(&mut self) -> Result<(), JournalError> {
        if self.writer.is_some()
            && let Some(by_ms) = self.clock.change_ms()
        {
            self.append_control(ControlRecord::ClockChanged { by_ms }).await?;
        }
        Ok(())
    }

    /// The control records since the last [`take_controls`](Self::take_controls), up to this place of the log.
    ///
    /// # Errors
    /// When one cannot be read or written.
    pub async fn read_controls(&mut self) -> Result<&[TimedControl], JournalError> {
        self.pass_controls().await?;
        Ok(&self.controls)
    }

    async fn pass_controls(&mut self) -> Result<(), JournalError> {
        while let Some(record) = self.recorded.front() {
            if !RecordKind::of(record)?.is_control() {
                break;
            }
            let before_ms = self.at_ms;
            let Some(record) = self.take() else { break };
            let LogRecord::ControlRecord(control) = LogRecord::require(&self.store, &record).await? else {
                break;
            };
            if let ControlRecord::Forked { changes, .. } = &*control
                && let Some(Err(error)) = changes.config.as_ref().map(|config| config.check_bounds())
            {
                return Err(ReadError::Unreadable { seq: record.seq, reason: error.to_string() }.into());
            }
            if matches!(*control, ControlRecord::TrialCall { .. }) {
                let (index, read) = (self.index.now(), self.trial_calls_read);
                self.trial_calls_read = (index, if read.0 == index { read.1 + 1 } else { 1 });
            }
            self.matched += 1;
            self.budget.heed(&control);
            if let ControlRecord::FrameTaken { frame } = &*control {
                // The loop does not know of these pictures.
                self.learn_frame(&record, frame);
                self.media.iter().for_each(|media| media.frame_recorded(frame));
                continue;
            }
            self.controls.push(TimedControl { record: *control, before_ms, at_ms: record.at_ms });
        }
        if self.recorded.is_empty()
            && self.writer.is_some()
            && let Some(control) = self.pending_control.clone()
        {
            self.append_control(control).await?;
            self.pending_control = None;
        }
        Ok(())
    }

    /// Takes over a recorded picture of the world. One that the record has no blob for is not the run's own.
    fn learn_frame(&self, record: &Record, frame: &Media) {
        let is_own = frame.blob.parse::<BlobId>().is_ok_and(|id| record.blobs.contains(&id));
        self.media.iter().filter(|_| is_own).for_each(|media| media.learn_frame(frame));
    }

    /// The next recorded record.
    fn take(&mut self) -> Option<Record> {
        let record = self.recorded.pop_front()?;
        (self.seq, self.at_ms) = (record.seq, record.at_ms);
        self.budget.count(&record.payload);
        Some(record)
    }

    async fn append(
        &mut self,
        kind: RecordKind,
        at_ms: i64,
        payload: Value,
        contents: &[String],
    ) -> Result<Noted, JournalError> {
        let writer = self.writer.as_mut().ok_or(JournalError::End)?;
        if let Some(limit) = self.budget.exceeded_by(kind) {
            return Err(JournalError::OverBudget { limit });
        }
        self.budget.count(&payload);
        let mut blobs = Vec::new();
        for content in contents {
            self.budget.add(content.len() as u64);
            let id = writer.put_blob(content.as_bytes()).await?;
            if !blobs.contains(&id) {
                blobs.push(id);
            }
        }
        let media = self.media.as_ref().map(|media| media.blobs(kind, &payload)).unwrap_or_default();
        for (id, bytes) in &media {
            let there = match bytes {
                Some(bytes) => {
                    self.budget.add(bytes.len() as u64);
                    writer.put_blob(bytes).await? == *id
                }
                // It may have been forgotten since an earlier record showed it.
                None => self.store.has_blob(id).await?,
            };
            if there && !blobs.contains(id) {
                blobs.push(*id);
            }
        }
        let record = writer.append(kind.as_str(), at_ms, payload, blobs).await?;
        if media.iter().any(|(_, bytes)| bytes.is_some()) {
            // From here on the bytes are read from the log, so they leave the writer's buffer. Pictures of the world need not
            // survive a crash, and everything is committed before a tool can ask for one.
            if kind != RecordKind::FrameTaken {
                writer.commit(Durability::Effect).await?;
            }
            if let Some(kept) = &self.media {
                kept.recorded(&media);
            }
        }
        (self.seq, self.at_ms) = (record.seq, record.at_ms);
        if let Some((seq, crash)) = self.crash
            && seq == record.seq
        {
            writer.commit(Durability::Effect).await?;
            crash();
        }
        Ok(Noted { seq: record.seq, at_ms: record.at_ms, replayed: false, foreign: false })
    }

    /// The recorded result at this place, which must be of one of these kinds; `None` after the recorded part.
    ///
    /// # Errors
    /// When a record of another kind stands here, or it cannot be read.
    pub async fn recall(&mut self, kinds: &[RecordKind]) -> Result<Option<(Noted, LogRecord)>, JournalError> {
        self.pass_controls().await?;
        let Some(record) = self.take() else { return Ok(None) };
        self.index.advance();
        if !kinds.iter().any(|kind| kind.is(&record)) {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
            return Err(JournalError::Diverged {
                seq: record.seq,
                recorded: record.kind,
                now: names.join(" or "),
            });
        }
        let decoded = LogRecord::require(&self.store, &record).await?;
        if let LogRecord::Event(event) = &decoded
            && let Event::Looked { picture: Some(picture), .. } = &**event
        {
            self.learn_frame(&record, picture);
        }
        self.matched += 1;
        Ok(Some((self.replayed(&record), decoded)))
    }

    /// The next record that is no control record, if it is of this kind. It stays in the journal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn peek(&self, kind: RecordKind) -> Result<Option<LogRecord>, JournalError> {
        for record in &self.recorded {
            let found = RecordKind::of(record)?;
            if found.is_control() {
                continue;
            }
            if found != kind {
                return Ok(None);
            }
            return Ok(Some(LogRecord::require(&self.store, record).await?));
        }
        Ok(None)
    }

    /// Appends a control record. Only valid after the recorded part.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn append_control(&mut self, control: ControlRecord) -> Result<(), JournalError> {
        let before_ms = self.at_ms;
        let Externalised { payload: compact, contents } = externalise(&control.to_payload()?)?;
        let at_ms = match &control {
            ControlRecord::ToolsChanged { .. } => self.clock.tools(self.index.now(), before_ms),
            ControlRecord::Resumed { .. }
            | ControlRecord::Paused { .. }
            | ControlRecord::GoalAdded { .. }
            | ControlRecord::Forked { .. }
            | ControlRecord::ClockChanged { .. }
            | ControlRecord::FrameTaken { .. }
            | ControlRecord::TrialCall { .. } => self.clock.between(before_ms),
        };
        self.budget.heed(&control);
        let noted = self.append(control.kind(), at_ms, compact, &contents).await?;
        if matches!(control, ControlRecord::FrameTaken { .. }) {
            return Ok(());
        }
        self.controls.push(TimedControl { record: control, before_ms, at_ms: noted.at_ms });
        Ok(())
    }

    /// Appends that the run is paused. Not where recorded records are left, or where this process has written none: the log then ends
    /// as it did.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn note_pause(&mut self, by: Option<String>) -> Result<(), JournalError> {
        if self.replaying() || !self.writes() || self.pending_control.is_some() {
            return Ok(());
        }
        self.note_clock_change().await?;
        self.append_control(ControlRecord::Paused { by }).await
    }

    /// Makes all records so far durable.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn commit(&mut self, durability: Durability) -> Result<(), JournalError> {
        if let Some(writer) = &mut self.writer {
            writer.commit(durability).await?;
        }
        Ok(())
    }

    /// The last record's sequence number; 0 before the first.
    pub fn seq(&self) -> EventSeq {
        self.seq
    }

    /// The last record.
    pub(super) fn latest(&self) -> Noted {
        let (seq, at_ms) = (self.seq, self.at_ms);
        Noted { seq, at_ms, replayed: seq <= self.recorded_until, foreign: self.is_foreign(seq) }
    }

    /// Makes all records durable, writes the run's status, and gives up the right to write.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn close(&mut self, status: RunStatus) -> Result<(), JournalError> {
        if let Some(writer) = self.writer.take() {
            writer.close(status).await?;
        }
        Ok(())
    }
}

/// The kind, and the parts of `payload` that differ from `other`, cut to 400 characters.
fn excerpt(kind: &str, payload: &Value, other: &Value) -> String {
    let difference = crate::model::diff(other, payload).unwrap_or(Value::Null);
    let text: String = difference.to_string().chars().take(400).collect();
    format!("`{kind}` {text}")
}

/// The system clock, milliseconds since 1970. Only the driver reads it.
pub fn now_ms() -> i64 {
    RunningTime.wall_ms()
}
