//! A recorded run that answers for everything outside the driver.
//!
//! The log has everything from outside: the answers of the controller, of memory, of trials and of tools, the decisions
//! about calls, and what the environment showed. A crash replay runs the driver against these answers, kills the process,
//! and resumes. The driver cannot tell the difference, so its own conduct after a crash is tested.

use super::super::clock::{Clock, RecordIndex};
use super::super::toolkit::Tools;
use super::environment_trace::{TraceEntry, environment_trace};
use super::recorded_tools::{RecordedTools, ToolChange};
use super::recorded_world::{RecordedPictures, RecordedWorld};
use super::uncertain_calls::UncertainCalls;
use crate::log::ReadError;
use crate::model::{ControlRecord, Effect, Event, LogRecord, Recalled, RecordKind, SkillEvent};
use sojourn_controller::Recording;
use sojourn_memory::{EventSeq, Record, Store};
use sojourn_tools::{Environment, EnvironmentSpec, Media};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Recalled memories, and the names of the tools that fit best.
type RecalledWithTools = (Vec<Recalled>, Vec<String>);

/// Everything from outside in the log of a run that was neither resumed nor forked.
///
/// Answers are found by the index of their record, control records not counted.
pub struct RecordedRun {
    spec: EnvironmentSpec,
    times: Vec<i64>,
    answers: Vec<(usize, Recording)>,
    recalled: Vec<(usize, RecalledWithTools)>,
    trial_results: BTreeMap<usize, LogRecord>,
    trial_calls: BTreeMap<usize, Vec<ControlRecord>>,
    out_of_time: BTreeSet<usize>,
    tools: Arc<RecordedTools>,
    trace: Vec<(usize, TraceEntry)>,
    /// The pictures that the controller's looks gave, by record index.
    pictures: Arc<BTreeMap<usize, Media>>,
    uncertain: BTreeMap<EventSeq, usize>,
}

/// How far a crash replay has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayPosition {
    /// Number of records, control records not counted.
    pub own: usize,
    /// Number of `tools_changed` records.
    pub tool_changes: usize,
}

impl ReplayPosition {
    /// The position after these records.
    ///
    /// # Errors
    /// When the kind of a record is unknown.
    pub fn after(records: &[Record]) -> Result<Self, ReadError> {
        let mut position = Self::default();
        for record in records {
            match RecordKind::of(record)? {
                RecordKind::ToolsChanged => position.tool_changes += 1,
                kind if kind.is_control() => {}
                _ => position.own += 1,
            }
        }
        Ok(position)
    }
}

impl RecordedRun {
    /// Reads `records`, which are all of a run in the environment `spec`.
    ///
    /// # Errors
    /// When a record whose content is needed was forgotten, or a record cannot be read.
    pub async fn read(store: &Store, records: &[Record], spec: &EnvironmentSpec) -> Result<Self, ReadError> {
        let mut this = Self {
            spec: spec.clone(),
            times: Vec::new(),
            answers: Vec::new(),
            recalled: Vec::new(),
            trial_results: BTreeMap::new(),
            trial_calls: BTreeMap::new(),
            out_of_time: BTreeSet::new(),
            tools: Arc::new(RecordedTools::new(store.clone())),
            trace: Vec::new(),
            pictures: Arc::default(),
            uncertain: BTreeMap::new(),
        };
        let mut tools = RecordedTools::new(store.clone());
        let mut uncertain = UncertainCalls::new(spec);
        let mut pictures = BTreeMap::new();
        let mut request = String::new();
        let mut own = Vec::with_capacity(records.len());
        // Milliseconds by which the clock was set so far: the other process's clock is not set.
        let mut set_ms = 0_i64;
        for record in records {
            let index = own.len();
            let at_ms = record.at_ms.saturating_sub(set_ms);
            if is_derived(RecordKind::of(record)?) {
                own.push((index, record));
                this.times.push(at_ms);
                continue;
            }
            match LogRecord::require(store, record).await? {
                LogRecord::ControlRecord(control) => {
                    uncertain.control(&control);
                    if let ControlRecord::ClockChanged { by_ms } = *control {
                        set_ms = set_ms.saturating_add(by_ms);
                    }
                    if matches!(*control, ControlRecord::TrialCall { .. }) {
                        this.trial_calls.entry(index).or_default().push(*control);
                        continue;
                    }
                    tools.changes.extend(ToolChange::of(*control, index, at_ms));
                    continue;
                }
                LogRecord::Effect(effect) => {
                    if let Effect::AskController { request: asked, .. } = *effect {
                        request = asked.digest();
                    }
                }
                LogRecord::ToolDecision(decision) => {
                    uncertain.decision(record.seq, index, &decision);
                    tools.decisions.insert(index, *decision);
                }
                LogRecord::SkillEvent(event) => {
                    uncertain.skill_event(record.seq, index, &event);
                    if let SkillEvent::Returned { outcome, .. } = *event {
                        tools.outcomes.insert(index, outcome);
                    }
                }
                LogRecord::Event(event) => match *event {
                    Event::ControllerAnswered { reply } => {
                        let request = std::mem::take(&mut request);
                        this.answers.push((index, Recording { request, answer: Ok(reply) }));
                    }
                    Event::ControllerFailed { error } => {
                        let request = std::mem::take(&mut request);
                        this.answers.push((index, Recording { request, answer: Err(error) }));
                    }
                    Event::OutOfTime {} => {
                        uncertain.settled(index);
                        this.out_of_time.insert(index);
                    }
                    Event::Looked { picture, .. } => {
                        pictures.extend(picture.map(|picture| (index, picture)));
                    }
                    Event::Recalled { memories, tools } => this.recalled.push((index, (memories, tools))),
                    Event::ToolAnswered { outcome, .. } => {
                        uncertain.record(index);
                        tools.outcomes.insert(index, outcome);
                    }
                    Event::Acted { .. } | Event::EpisodeStarted { .. } => uncertain.settled(index),
                    event @ (Event::StartsObserved { .. }
                    | Event::Explored { .. }
                    | Event::Discovered { .. }
                    | Event::CandidatesTried { .. }
                    | Event::SkillsRetested { .. }
                    | Event::ReflexesTried { .. }) => {
                        this.trial_results.insert(index, LogRecord::Event(Box::new(event)));
                    }
                },
                LogRecord::Started(_) => {}
            }
            own.push((index, record));
            this.times.push(at_ms);
        }
        this.trace = environment_trace(store, own.iter().copied(), spec).await?;
        // The loss of an environment is recorded at the end of the act, not at the call in which it was lost.
        for (index, _) in this.trace.iter().filter(|(_, entry)| matches!(entry, TraceEntry::Lost { .. })) {
            uncertain.environment_lost(own.get(*index).map(|(_, record)| record.seq), index + 1);
        }
        this.tools = Arc::new(tools);
        this.pictures = Arc::new(pictures);
        this.uncertain = uncertain.found();
        Ok(this)
    }

    /// A clock with the run's times. With `until` it ends after the record of that index.
    pub fn clock(&self, until: Option<usize>) -> Clock {
        let mut own = self.times.clone();
        own.truncate(until.map_or(own.len(), |until| until + 1));
        let tools = self.tools.changes.iter().map(|change| (change.index, change.at_ms)).collect();
        Clock::Recorded { own, tools, out_of_time: Arc::new(self.out_of_time.clone()) }
    }

    /// The controller's answers after `position`, in order.
    pub fn answers(&self, position: ReplayPosition) -> impl Iterator<Item = Recording> {
        let left = self.answers.iter().filter(move |(index, _)| *index >= position.own);
        left.map(|(_, recording)| recording.clone())
    }

    /// Recalled memories, and the tools that fit best, after `position`, in order.
    pub fn recalled(&self, position: ReplayPosition) -> impl Iterator<Item = RecalledWithTools> {
        let left = self.recalled.iter().filter(move |(index, _)| *index >= position.own);
        left.map(|(_, recalled)| recalled.clone())
    }

    /// The results of trials, by record index.
    pub fn trial_results(&self) -> BTreeMap<usize, LogRecord> {
        self.trial_results.clone()
    }

    /// The calls of tools in trials, by the index of the record after them.
    pub fn trial_calls(&self) -> BTreeMap<usize, Vec<ControlRecord>> {
        self.trial_calls.clone()
    }

    /// The tools that do not belong to the environment, and their approver, for a process that began at `position`.
    /// `index` follows its journal.
    pub fn tools(&self, position: ReplayPosition, index: &RecordIndex) -> Tools {
        RecordedTools::open(&self.tools, position, index)
    }

    /// The environment from `position` on. It is in the state in which the previous process left it. `index` follows the journal
    /// of the process.
    pub fn world(&self, position: ReplayPosition, index: &RecordIndex) -> Box<dyn Environment> {
        let pictures = RecordedPictures {
            store: self.tools.store.clone(),
            pictures: Arc::clone(&self.pictures),
            index: index.clone(),
        };
        Box::new(RecordedWorld::new(self.spec.clone(), &self.trace, position, pictures))
    }

    /// The index of the first record that differs when the process dies after record `seq`: a call was open there that
    /// must not be repeated, so its outcome is unknown; or the environment had just been lost. `None` where the resumed run
    /// equals the recorded one.
    pub fn differs_from(&self, seq: EventSeq) -> Option<usize> {
        self.uncertain.get(&seq).copied()
    }
}

/// Whether the driver derives records of this kind, so that their content is not needed and may be forgotten. A request is
/// derived too, but its digest finds the recorded answer.
fn is_derived(kind: RecordKind) -> bool {
    kind == RecordKind::Started || (Effect::KINDS.contains(&kind) && kind != RecordKind::AskController)
}
