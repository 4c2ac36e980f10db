//! An environment answered from a log, which survives the processes that use it.

use super::super::clock::RecordIndex;
use super::environment_trace::{self as trace, TraceEntry, differs};
use super::recorded_run::ReplayPosition;
use async_trait::async_trait;
use serde_json::Value;
use sojourn_memory::Store;
use sojourn_tools::{
    Action, Environment, EnvironmentError, EnvironmentSpec, EpisodePrefix, Frame, Media, Observation,
    Progress, StepOutcome, ToolCall,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Gives the recorded answers again, in the same order.
pub(super) struct RecordedWorld {
    spec: EnvironmentSpec,
    trace: VecDeque<TraceEntry>,
    state: Value,
    /// The first observation of the episode, until something happens.
    first: Option<Observation>,
    /// The call that was open when the previous process died, which may be made again.
    unfinished: Option<ToolCall>,
    /// Whether the environment was lost then.
    lost: bool,
    pictures: RecordedPictures,
}

/// The pictures that the controller's looks gave. Those for people are not given again.
pub(super) struct RecordedPictures {
    /// Where their bytes are.
    pub store: Store,
    /// By the index of the look's record.
    pub pictures: Arc<BTreeMap<usize, Media>>,
    /// Follows the journal.
    pub index: RecordIndex,
}

impl RecordedWorld {
    /// The environment in its state at `position`.
    pub fn new(
        spec: EnvironmentSpec,
        entries: &[(usize, TraceEntry)],
        position: ReplayPosition,
        pictures: RecordedPictures,
    ) -> Self {
        let (mut state, mut unfinished, mut first) = (Value::Null, None, None);
        let past = entries.iter().take_while(|(index, _)| *index < position.own);
        let mut lost = false;
        for (_, entry) in past {
            first = None;
            lost = matches!(entry, TraceEntry::Lost { .. });
            match entry {
                TraceEntry::Reset(_, observation) | TraceEntry::Observed(observation) => {
                    state = observation.state.clone();
                    unfinished = None;
                    first = Some(observation.clone());
                }
                TraceEntry::Called(call) => unfinished = Some(call.clone()),
                TraceEntry::Stepped(step) => step.apply(&mut state),
                TraceEntry::Returned(_) | TraceEntry::Stopped | TraceEntry::Lost { .. } => unfinished = None,
            }
        }
        let left = entries.iter().skip_while(|(index, _)| *index < position.own);
        let trace = left.map(|(_, entry)| entry.clone()).collect();
        Self { spec, trace, state, first, unfinished, lost, pictures }
    }

    fn differs(&self, now: &str) -> EnvironmentError {
        differs(self.trace.front(), now)
    }
}

#[async_trait]
impl Environment for RecordedWorld {
    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        self.unfinished = None;
        while let Some(entry) = self.trace.pop_front() {
            if let TraceEntry::Reset(recorded, observation) = entry {
                if recorded != seed {
                    return Err(self.differs(&format!("a reset with the seed {seed}")));
                }
                self.state.clone_from(&observation.state);
                self.first = Some(observation);
                return Ok(());
            }
        }
        Err(self.differs("a reset"))
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        if let Some(first) = &self.first {
            return Ok(first.clone());
        }
        match self.trace.iter().find(|entry| !entry.ends_call()) {
            Some(TraceEntry::Observed(observation)) => Ok(observation.clone()),
            // An observation that the log does not have; the state is known.
            _ => Ok(Observation::new("", self.state.clone())),
        }
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.first = None;
        if self.unfinished.take().as_ref() == Some(call) {
            return Ok(());
        }
        while let Some(TraceEntry::Observed(_) | TraceEntry::Returned(_) | TraceEntry::Stopped) =
            self.trace.front()
        {
            self.trace.pop_front();
        }
        match self.trace.front() {
            Some(TraceEntry::Called(recorded)) if recorded == call => {
                self.trace.pop_front();
                Ok(())
            }
            _ => Err(self.differs(&format!("a call of `{}`", call.name))),
        }
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        trace::advance(&mut self.trace)
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        self.first = None;
        trace::step(&mut self.trace, &mut self.state, action)
    }

    async fn frame(&mut self) -> Option<Frame> {
        let RecordedPictures { store, pictures, index } = &self.pictures;
        let media = pictures.get(&index.now())?;
        let bytes = store.blob(&media.blob.parse().ok()?).await.ok()?;
        Some(Frame { bytes, mime: media.mime.clone() })
    }

    fn permits(&self, action: &Action) -> bool {
        trace::acted_by_reflex(&self.trace, action)
    }

    async fn rejoin(&mut self, past: &EpisodePrefix) -> Result<bool, EnvironmentError> {
        Ok(!self.lost && self.state == past.state)
    }
}
