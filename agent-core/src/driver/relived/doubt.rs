//! Where a process that dies leaves a call behind of which nobody knows what came.

use super::super::interjection::Interjection;
use super::super::stage::StageEvent;
use super::super::toolkit::Grant;
use sojourn_memory::EventSeq;
use sojourn_tools::{Effects, EnvironmentSpec, ToolSpec};
use std::collections::BTreeMap;

/// Follows the records of a run from the first to the last.
pub(super) struct Doubts<'a> {
    spec: &'a EnvironmentSpec,
    /// The tools that are not the environment's, as they are known there.
    tools: BTreeMap<String, Effects>,
    /// Whether each call under way, the innermost last, is one of the world's that may not be repeated.
    calls: Vec<bool>,
    /// Whether the episode ended in the act that is under way.
    over: bool,
    /// Records that leave a call behind, until the place is known where that shows.
    left: Vec<EventSeq>,
    found: BTreeMap<EventSeq, usize>,
}

impl<'a> Doubts<'a> {
    pub fn new(spec: &'a EnvironmentSpec) -> Self {
        let (tools, found) = (BTreeMap::new(), BTreeMap::new());
        Self { spec, tools, calls: Vec::new(), over: false, left: Vec::new(), found }
    }

    /// The records that leave such a call, and the place of the loop's own record that then is another.
    pub fn found(self) -> BTreeMap<EventSeq, usize> {
        self.found
    }

    pub fn interjected(&mut self, what: &Interjection) {
        if let Interjection::Tools { appeared, vanished, .. } = what {
            self.tools.retain(|name, _| !vanished.contains(name));
            self.tools.extend(appeared.iter().map(|spec| (spec.name.clone(), spec.effects)));
        }
    }

    /// The world broke off in the call that ended with the record `seq`, which does not say so.
    pub fn broke_off(&mut self, seq: Option<EventSeq>, place: usize) {
        self.found.extend(seq.map(|seq| (seq, place)));
    }

    /// A record of the loop's own stands at `place`.
    pub fn happened(&mut self, place: usize) {
        self.found.extend(self.left.drain(..).map(|seq| (seq, place)));
    }

    /// Nothing is under way any more.
    pub fn settled(&mut self, place: usize) {
        self.happened(place);
        (self.calls, self.over) = (Vec::new(), false);
    }

    pub fn granted(&mut self, seq: EventSeq, place: usize, grant: &Grant) {
        self.happened(place);
        let repeatable = self.tools.get(&grant.tool).is_some_and(|effects| effects.repeatable());
        if grant.granted && !repeatable {
            self.left.push(seq);
        }
    }

    pub fn staged(&mut self, seq: EventSeq, place: usize, event: &StageEvent) {
        // A reflex acts again before anybody asks what became of the call.
        if !matches!(event, StageEvent::Stepped(step) if step.reflex.is_some()) {
            self.happened(place);
        }
        match event {
            StageEvent::Called { call, .. } => {
                // A deterministic world is stepped again, and its calls with it.
                let tool: Option<&ToolSpec> = self.spec.tools.iter().find(|tool| tool.name == call.name);
                let risky = tool.is_some_and(|tool| tool.effects.write && !tool.effects.idempotent);
                self.calls.push(risky && !self.spec.deterministic);
            }
            StageEvent::Stepped(step) => self.over |= step.ended.is_some(),
            StageEvent::Returned { .. } => {
                self.calls.pop();
                return;
            }
        }
        if self.calls.last() == Some(&true) && !self.over {
            self.left.push(seq);
        }
    }
}
