//! A run that was lived, as all that its outside is to a run that lives it again.
//!
//! Everything from outside is in the log: what the controller, memory, practice and tools answered, who granted what, and what
//! a world showed. Here it is handed out again in place of them, by the place that the other log has come to. The driver
//! does not know the difference: what it does about a process that dies is its own.

mod doubt;
mod tools;
mod world;

use super::clock::{Clock, Place};
use super::interjection::Interjection;
use super::journal::{JournalError, inflate, is_forgotten};
use super::stage::StageEvent;
use super::tape::{Seen, tape};
use super::toolkit::{self, Tools};
use super::witness;
use crate::event::{Effect, Event, Recalled};
use doubt::Doubts;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sojourn_controller::Recording;
use sojourn_memory::{EventSeq, Record, Store};
use sojourn_tools::{Environment, EnvironmentSpec, ToolOutcome};
use std::collections::BTreeMap;
use std::sync::Arc;
use tools::Desk;
use world::RecordedWorld;

/// What was recalled, and the names of the tools that fitted best.
type Looked = (Vec<Recalled>, Vec<String>);

/// What the log of a run in one piece has of everything that came from outside.
pub struct Precedent {
    spec: EnvironmentSpec,
    times: Vec<i64>,
    thoughts: Vec<(usize, Recording)>,
    recalled: Vec<(usize, Looked)>,
    practised: BTreeMap<usize, Value>,
    desk: Arc<Desk>,
    tape: Vec<(usize, Seen)>,
    doubts: BTreeMap<EventSeq, usize>,
}

/// How far the run that is lived again has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lived {
    /// Records of the loop's own.
    pub own: usize,
    /// Changes of tools.
    pub tools: usize,
}

impl Lived {
    /// What these records come to.
    pub fn of(records: &[Record]) -> Self {
        let own = records.iter().filter(|record| !Interjection::is_kind(&record.kind)).count();
        Self { own, tools: records.iter().filter(|record| record.kind == "tools").count() }
    }
}

impl Precedent {
    /// What `records` have, which are all of a run in the environment `spec`.
    ///
    /// # Errors
    /// When one that is needed was forgotten or cannot be read.
    pub async fn read(
        store: &Store,
        records: &[Record],
        spec: &EnvironmentSpec,
    ) -> Result<Self, JournalError> {
        let mut this = Self {
            spec: spec.clone(),
            times: Vec::new(),
            thoughts: Vec::new(),
            recalled: Vec::new(),
            practised: BTreeMap::new(),
            desk: Arc::default(),
            tape: Vec::new(),
            doubts: BTreeMap::new(),
        };
        let mut desk = Desk::default();
        let mut doubts = Doubts::new(spec);
        let mut request = String::new();
        let mut own = Vec::with_capacity(records.len());
        for record in records {
            let place = own.len();
            if Interjection::is_kind(&record.kind) {
                let payload = whole(store, record).await?;
                let what = Interjection::read(payload).map_err(|error| unreadable(record, &error))?;
                doubts.interjected(&what);
                desk.changes.extend(tools::Change::of(what, place, record.at_ms));
                continue;
            }
            own.push((place, record));
            this.times.push(record.at_ms);
            match record.kind.as_str() {
                "think" => {
                    if let Effect::Think { request: asked, .. } = body(store, record).await? {
                        request = asked.digest();
                    }
                }
                "thought" | "thought_failed" => {
                    let answer = match body(store, record).await? {
                        Event::Thought { reply } => Ok(reply),
                        Event::ThoughtFailed { error } => Err(error),
                        _ => continue,
                    };
                    let request = std::mem::take(&mut request);
                    this.thoughts.push((place, Recording { request, answer }));
                }
                "recalled" => {
                    if let Event::Recalled { memories, tools } = body(store, record).await? {
                        this.recalled.push((place, (memories, tools)));
                    }
                }
                "surveyed" | "played" | "tried" | "retested" | "reflexes_tried" => {
                    this.practised.insert(place, whole(store, record).await?);
                }
                "granted" => {
                    let grant = body(store, record).await?;
                    doubts.granted(record.seq, place, &grant);
                    desk.grants.insert(place, grant);
                }
                "tool_answered" => {
                    doubts.happened(place);
                    if let Event::ToolAnswered { outcome, .. } = body(store, record).await? {
                        desk.outcomes.insert(place, outcome);
                    }
                }
                "called" | "stepped" | "returned" => {
                    let event = body(store, record).await?;
                    doubts.staged(record.seq, place, &event);
                    if let StageEvent::Returned { outcome, .. } = event {
                        desk.outcomes.insert(place, outcome);
                    }
                }
                "acted" | "episode_started" => doubts.settled(place),
                _ => {}
            }
        }
        this.tape = tape(store, own.iter().copied(), spec).await?;
        // That a world broke off is written with the end of the act, not with the call that it broke off in.
        for (place, _) in this.tape.iter().filter(|(_, seen)| matches!(seen, Seen::Lost { .. })) {
            doubts.broke_off(own.get(*place).map(|(_, record)| record.seq), place + 1);
        }
        this.desk = Arc::new(desk);
        this.doubts = doubts.found();
        Ok(this)
    }

    /// Its times, as far as the record of the loop's own at the place `until`.
    pub fn clock(&self, until: Option<usize>) -> Clock {
        let mut own = self.times.clone();
        own.truncate(until.map_or(own.len(), |until| until + 1));
        let tools = self.desk.changes.iter().map(|change| (change.place, change.at_ms)).collect();
        Clock::Recorded { own, tools }
    }

    /// What the controller said after that.
    pub fn thoughts(&self, lived: Lived) -> impl Iterator<Item = Recording> {
        let left = self.thoughts.iter().filter(move |(place, _)| *place >= lived.own);
        left.map(|(_, recording)| recording.clone())
    }

    /// What was recalled after that: memories, and the tools that fitted best.
    pub fn recalled(&self, lived: Lived) -> impl Iterator<Item = (Vec<Recalled>, Vec<String>)> {
        let left = self.recalled.iter().filter(move |(place, _)| *place >= lived.own);
        left.map(|(_, recalled)| recalled.clone())
    }

    /// What came of practice, by the places of the records.
    pub fn practised(&self) -> BTreeMap<usize, Value> {
        self.practised.clone()
    }

    /// The tools that are not the environment's, and who is asked about them, as they were where `place` is.
    pub fn tools(&self, lived: Lived, place: &Place) -> Tools {
        Desk::open(&self.desk, lived, place)
    }

    /// The world as it was seen from there on. It stands where the process before left it.
    pub fn world(&self, lived: Lived) -> Box<dyn Environment> {
        Box::new(RecordedWorld::new(self.spec.clone(), &self.tape, lived))
    }

    /// Where a run must go its own way whose process dies after the record `seq`: a call was under way that may not be made
    /// again, and the outcome at this place is that nobody knows; or its world had just broken off. `None` where it goes on
    /// as it was.
    pub fn doubt(&self, seq: EventSeq) -> Option<usize> {
        self.doubts.get(&seq).copied()
    }

    /// Whether a record says that nobody knows what came of a call.
    pub fn nobody_knows(record: &Record) -> bool {
        let outcome = record.payload.get("outcome").cloned();
        let outcome = outcome.and_then(|outcome| serde_json::from_value::<ToolOutcome>(outcome).ok());
        outcome.is_some_and(|outcome| {
            let said = [toolkit::UNKNOWN, witness::UNKNOWN];
            !outcome.ok && said.iter().any(|unknown| outcome.message.ends_with(unknown))
        })
    }
}

fn unreadable(record: &Record, error: &serde_json::Error) -> JournalError {
    JournalError::Unreadable { seq: record.seq, reason: error.to_string() }
}

/// What a record says, its blobs put back.
async fn whole(store: &Store, record: &Record) -> Result<Value, JournalError> {
    if is_forgotten(&record.payload) {
        return Err(JournalError::Forgotten { seq: record.seq });
    }
    inflate(store, record.seq, record.payload.clone()).await
}

async fn body<T: DeserializeOwned>(store: &Store, record: &Record) -> Result<T, JournalError> {
    let payload = whole(store, record).await?;
    serde_json::from_value(payload).map_err(|error| unreadable(record, &error))
}
