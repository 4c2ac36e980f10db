//! Tools as a log has them: what there was, what was granted, and what was answered.

use super::super::clock::Place;
use super::super::interjection::Interjection;
use super::super::toolkit::{Approval, Approver, Grant, Tools};
use super::Lived;
use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_tools::{CallContext, CallLimits, Tool, ToolError, ToolOutcome, ToolSource, ToolSpec, Toolbox};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a log has of tools, by the places of the loop's own records.
#[derive(Default)]
pub(super) struct Desk {
    pub changes: Vec<Change>,
    pub grants: BTreeMap<usize, Grant>,
    /// Outcomes of calls; those of the world's own are among them.
    pub outcomes: BTreeMap<usize, ToolOutcome>,
}

/// Tools came or went.
pub(super) struct Change {
    /// So many records of the loop's own stand before it.
    pub place: usize,
    pub at_ms: i64,
    appeared: Vec<ToolSpec>,
    vanished: Vec<String>,
    notices: Vec<String>,
}

impl Change {
    pub fn of(what: Interjection, place: usize, at_ms: i64) -> Option<Self> {
        let Interjection::Tools { appeared, vanished, notices, .. } = what else { return None };
        Some(Self { place, at_ms, appeared, vanished, notices })
    }
}

/// The desk as it is at a place.
struct Attended {
    desk: Arc<Desk>,
    /// What there was when the process began.
    lived: Lived,
    place: Place,
    /// Changes whose notices were given out.
    told: AtomicUsize,
}

/// One of its tools.
struct RecordedTool {
    spec: ToolSpec,
    desk: Arc<Desk>,
    place: Place,
}

impl Desk {
    /// Opens it where `place` is.
    pub fn open(desk: &Arc<Self>, lived: Lived, place: &Place) -> Tools {
        let attended = |desk: &Arc<Self>| Attended {
            desk: Arc::clone(desk),
            lived,
            place: place.clone(),
            told: AtomicUsize::new(lived.tools),
        };
        // They were held to their limits when they answered.
        let toolbox = Toolbox::new(vec![Arc::new(attended(desk))], CallLimits::default());
        Tools { toolbox: Arc::new(toolbox), approver: Arc::new(attended(desk)) }
    }
}

impl Attended {
    /// The changes until now. What is replayed first happened to a process that is dead: its tools are those of the end.
    fn changes(&self) -> impl Iterator<Item = &Change> {
        let now = self.place.now().max(self.lived.own);
        self.desk.changes.iter().take_while(move |change| change.place <= now)
    }
}

impl ToolSource for Attended {
    fn name(&self) -> &'static str {
        "recorded"
    }

    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        let mut specs = BTreeMap::new();
        for change in self.changes() {
            specs.retain(|name, _| !change.vanished.contains(name));
            specs.extend(change.appeared.iter().map(|spec| (spec.name.clone(), spec)));
        }
        let tool = |spec: &ToolSpec| -> Arc<dyn Tool> {
            let (desk, place) = (Arc::clone(&self.desk), self.place.clone());
            Arc::new(RecordedTool { spec: spec.clone(), desk, place })
        };
        specs.into_values().map(tool).collect()
    }

    fn notices(&self) -> Vec<String> {
        let known = self.changes().count();
        let told = self.told.swap(known, Ordering::SeqCst);
        self.changes().skip(told).flat_map(|change| change.notices.iter().cloned()).collect()
    }
}

#[async_trait]
impl Approver for Attended {
    async fn approve(&self, spec: &ToolSpec, _args: &Map<String, Value>) -> Approval {
        match self.desk.grants.get(&self.place.now()).filter(|grant| grant.tool == spec.name) {
            Some(grant) => Approval { granted: grant.granted, by: grant.by.clone() },
            None => Approval { granted: false, by: "the log has no decision here".to_owned() },
        }
    }
}

#[async_trait]
impl Tool for RecordedTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(
        &self,
        _args: &Map<String, Value>,
        _context: &CallContext,
    ) -> Result<ToolOutcome, ToolError> {
        self.desk.outcomes.get(&self.place.now()).cloned().ok_or_else(|| ToolError::Failed {
            name: self.spec.name.clone(),
            reason: "the log has no answer of it here".to_owned(),
        })
    }
}
