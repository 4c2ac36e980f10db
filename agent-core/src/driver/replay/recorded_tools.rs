//! Tools answered from a log: which there were, what was decided, and what they answered.

use super::super::clock::RecordIndex;
use super::super::tool_changes::HELD_BACK;
use super::super::toolkit::{Approval, Approver, Question, Tools};
use super::recorded_run::ReplayPosition;
use crate::model::{ControlRecord, ToolDecision};
use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_memory::Store;
use sojourn_tools::{CallContext, CallLimits, Tool, ToolError, ToolOutcome, ToolSource, ToolSpec, Toolbox};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a log has of tools, by record index.
pub(super) struct RecordedTools {
    /// Where the bytes of their pictures and sounds are.
    pub store: Store,
    pub changes: Vec<ToolChange>,
    pub decisions: BTreeMap<usize, ToolDecision>,
    /// Outcomes of calls, those of the environment's tools included.
    pub outcomes: BTreeMap<usize, ToolOutcome>,
}

/// A `tools_changed` record.
pub(super) struct ToolChange {
    /// The index of the record after it.
    pub index: usize,
    pub at_ms: i64,
    appeared: Vec<ToolSpec>,
    vanished: Vec<String>,
    notices: Vec<String>,
}

impl ToolChange {
    pub fn of(control: ControlRecord, index: usize, at_ms: i64) -> Option<Self> {
        let ControlRecord::ToolsChanged { appeared, vanished, notices, .. } = control else { return None };
        Some(Self { index, at_ms, appeared, vanished, notices })
    }
}

/// The recorded tools as they are at the journal's position.
struct Session {
    recorded: Arc<RecordedTools>,
    /// Where the process began.
    start: ReplayPosition,
    index: RecordIndex,
    /// Number of changes whose notices were given out.
    noticed: AtomicUsize,
}

/// One recorded tool.
struct RecordedTool {
    spec: ToolSpec,
    recorded: Arc<RecordedTools>,
    index: RecordIndex,
}

impl RecordedTools {
    pub fn new(store: Store) -> Self {
        Self { store, changes: Vec::new(), decisions: BTreeMap::new(), outcomes: BTreeMap::new() }
    }

    /// The tools and the approver of a process that began at `start`; `index` follows its journal.
    pub fn open(recorded: &Arc<Self>, start: ReplayPosition, index: &RecordIndex) -> Tools {
        let session = || Session {
            recorded: Arc::clone(recorded),
            start,
            index: index.clone(),
            noticed: AtomicUsize::new(start.tool_changes),
        };
        // The answers were checked against limits when they were recorded.
        let toolbox = Toolbox::new(vec![Arc::new(session())], CallLimits::default());
        Tools { toolbox: Arc::new(toolbox), approver: Arc::new(session()) }
    }
}

impl Session {
    /// The changes until now. Changes of the part that is replayed first happened to an earlier process and count from the
    /// start.
    fn changes(&self) -> impl Iterator<Item = &ToolChange> {
        let now = self.index.now().max(self.start.own);
        self.recorded.changes.iter().take_while(move |change| change.index <= now)
    }
}

impl ToolSource for Session {
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
            let (recorded, index) = (Arc::clone(&self.recorded), self.index.clone());
            Arc::new(RecordedTool { spec: spec.clone(), recorded, index })
        };
        specs.into_values().map(tool).collect()
    }

    fn notices(&self) -> Vec<String> {
        let known = self.changes().count();
        let noticed = self.noticed.swap(known, Ordering::SeqCst);
        let notices = self.changes().skip(noticed).flat_map(|change| &change.notices);
        // The driver says this one itself.
        notices.filter(|notice| *notice != HELD_BACK).cloned().collect()
    }
}

#[async_trait]
impl Approver for Session {
    async fn approve(&self, question: &Question<'_>) -> Option<Approval> {
        let decision = self.recorded.decisions.get(&self.index.now());
        Some(match decision.filter(|decision| decision.tool == question.spec.name) {
            Some(ToolDecision { granted, by, approval, .. }) => {
                Approval { granted: *granted, by: by.clone(), approval: approval.clone() }
            }
            None => Approval::new(false, "the log has no decision here"),
        })
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
        context: &CallContext,
    ) -> Result<ToolOutcome, ToolError> {
        let failed = |reason: String| ToolError::Failed { name: self.spec.name.clone(), reason };
        let outcome = self.recorded.outcomes.get(&self.index.now()).cloned();
        let outcome = outcome.ok_or_else(|| failed("the log has no answer of this tool here".to_owned()))?;
        // The bytes were brought in by the call, so they are brought in again.
        for media in outcome.media() {
            if let (Some(kept), Ok(blob)) = (&context.media, media.blob.parse()) {
                let bytes =
                    self.recorded.store.blob(&blob).await.map_err(|error| failed(error.to_string()))?;
                kept.put(bytes, &media.mime, &media.source).map_err(|error| failed(error.to_string()))?;
            }
        }
        Ok(outcome)
    }
}
