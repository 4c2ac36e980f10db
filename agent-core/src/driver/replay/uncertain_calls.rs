//! Records after which a dying process leaves a call whose effect nobody knows.

use crate::model::{ControlRecord, SkillEvent, ToolDecision};
use sojourn_memory::EventSeq;
use sojourn_tools::{Effects, EnvironmentSpec, FailureKind};
use std::collections::BTreeMap;

/// Follows the records of a run from the first to the last.
pub(super) struct UncertainCalls<'a> {
    spec: &'a EnvironmentSpec,
    /// The tools that do not belong to the environment, as they are known at this record.
    tools: BTreeMap<String, Effects>,
    /// Whether each open call, the innermost last, is a call of the environment that must not be repeated.
    calls: Vec<bool>,
    /// Whether the episode has ended in the current act.
    over: bool,
    /// Records that leave an uncertain call, until the index is known from which on the resumed run differs.
    open: Vec<EventSeq>,
    found: BTreeMap<EventSeq, usize>,
}

impl<'a> UncertainCalls<'a> {
    pub fn new(spec: &'a EnvironmentSpec) -> Self {
        Self {
            spec,
            tools: BTreeMap::new(),
            calls: Vec::new(),
            over: false,
            open: Vec::new(),
            found: BTreeMap::new(),
        }
    }

    /// The records that leave an uncertain call, each with the index of the first record that then differs.
    pub fn found(self) -> BTreeMap<EventSeq, usize> {
        self.found
    }

    pub fn control(&mut self, control: &ControlRecord) {
        if let ControlRecord::ToolsChanged { appeared, vanished, .. } = control {
            self.tools.retain(|name, _| !vanished.contains(name));
            self.tools.extend(appeared.iter().map(|spec| (spec.name.clone(), spec.effects)));
        }
    }

    /// The environment was lost in the call that ended with the record `seq`, which does not say so.
    pub fn environment_lost(&mut self, seq: Option<EventSeq>, index: usize) {
        self.found.extend(seq.map(|seq| (seq, index)));
    }

    /// Any record stands at `index`: what was left open shows there.
    pub fn record(&mut self, index: usize) {
        self.found.extend(self.open.drain(..).map(|seq| (seq, index)));
    }

    /// A record stands at `index` after which no call is open.
    pub fn settled(&mut self, index: usize) {
        self.record(index);
        (self.calls, self.over) = (Vec::new(), false);
    }

    pub fn decision(&mut self, seq: EventSeq, index: usize, decision: &ToolDecision) {
        self.record(index);
        let repeatable = self.tools.get(&decision.tool).is_some_and(|effects| effects.repeatable());
        if decision.granted && !repeatable {
            self.open.push(seq);
        }
    }

    pub fn skill_event(&mut self, seq: EventSeq, index: usize, event: &SkillEvent) {
        // A call that a policy denied was never made.
        if matches!(event, SkillEvent::Returned { outcome, .. } if outcome.failure == Some(FailureKind::Denied))
        {
            self.open.clear();
        }
        // A reflex acts again before the outcome of the call is wanted.
        if !matches!(event, SkillEvent::Stepped(step) if step.reflex.is_some()) {
            self.record(index);
        }
        match event {
            SkillEvent::Called { call, .. } => {
                // A deterministic environment is stepped again, and its calls with it.
                let tool = self.spec.tools.iter().find(|tool| tool.name == call.name);
                let uncertain = tool.is_some_and(|tool| !tool.effects.repeatable());
                self.calls.push(uncertain && !self.spec.deterministic);
            }
            SkillEvent::Stepped(step) => self.over |= step.ended.is_some(),
            SkillEvent::Returned { .. } => {
                self.calls.pop();
                return;
            }
        }
        if self.calls.last() == Some(&true) && !self.over {
            self.open.push(seq);
        }
    }
}
