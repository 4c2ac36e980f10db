//! Tools that are not the environment's: which are on offer, and what they showed.
//!
//! Before it settles on a task the controller may ask a few of them. What they show comes from outside: it is quoted to the
//! controller as such, and from then on the policy is told so whenever a tool is called.

use super::curriculum::Proposal;
use super::prompts::Consultable;
use super::{Core, Phase, Reply};
use crate::model::{Effect, Recalled};
use serde_json::{Map, Value};
use sojourn_tools::{ToolCall, ToolOutcome, ToolSpec};
use std::collections::{BTreeMap, VecDeque};

/// Answers shown again, the latest.
const SHOWN: usize = 3;
/// Characters of an answer that are shown.
const SHOWN_CHARS: usize = 1200;
/// Notices told at once, the latest.
const NOTICES: usize = 3;

/// What the core knows of the tools.
#[derive(Debug, Default)]
pub(super) struct Consultations {
    /// Those that are there.
    tools: BTreeMap<String, ToolSpec>,
    /// Why the arguments of some are not held to their schema while they are written.
    unconstrained: BTreeMap<String, String>,
    /// What happened to them that the controller was not told yet.
    notices: VecDeque<String>,
    /// What they showed in this episode.
    shown: VecDeque<Shown>,
    /// Calls since the controller last settled on something else.
    in_a_row: u32,
    /// Whether something that a tool showed may stand behind what is done now.
    tainted: bool,
}

/// What a tool showed.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// The call as JavaScript.
    pub call: String,
    /// What came back, in words and cut to a length.
    pub words: String,
}

/// What was under way when a tool was asked.
pub(super) struct Consultation {
    pub call: ToolCall,
    pub then: AfterConsultation,
}

/// Where it goes on with the answer.
pub(super) enum AfterConsultation {
    /// At the choice among these.
    Choose { proposals: Vec<Proposal>, memories: Vec<Recalled> },
    /// At the choice of a primitive.
    Improvise,
}

impl Consultations {
    /// Takes note of tools that came, went or had something happen to them.
    pub fn changed(
        &mut self,
        appeared: &[ToolSpec],
        unconstrained: &BTreeMap<String, String>,
        vanished: &[String],
        notices: &[String],
    ) {
        for spec in appeared {
            self.unconstrained.remove(&spec.name);
            self.tools.insert(spec.name.clone(), spec.clone());
        }
        self.unconstrained.extend(unconstrained.clone());
        for name in vanished {
            self.tools.remove(name);
            self.unconstrained.remove(name);
        }
        self.notices.extend(notices.iter().cloned());
        while self.notices.len() > NOTICES {
            self.notices.pop_front();
        }
    }

    pub fn episode_started(&mut self) {
        self.shown.clear();
        self.in_a_row = 0;
    }

    pub fn settled(&mut self) {
        self.in_a_row = 0;
    }

    /// A skill asked tools.
    pub fn used_by_skill(&mut self) {
        self.tainted = true;
    }

    fn add(&mut self, call: &ToolCall, outcome: &ToolOutcome, trusted: bool) {
        self.in_a_row += 1;
        self.tainted |= !trusted;
        let said = outcome.to_text();
        let mut words: String = said.chars().take(SHOWN_CHARS).collect();
        if words.len() < said.len() {
            words.push_str(" …");
        }
        if self.shown.len() == SHOWN {
            self.shown.pop_front();
        }
        self.shown.push_back(Shown { call: crate::model::as_javascript(call), words });
    }
}

impl Core {
    /// The tools there are, by name.
    pub fn tools(&self) -> &BTreeMap<String, ToolSpec> {
        &self.consultations.tools
    }

    /// Whether something that a tool showed may stand behind what is done now.
    pub fn tainted(&self) -> bool {
        self.consultations.tainted
    }

    /// How many tools may be offered now, where there are any.
    pub(super) fn may_consult(&self) -> Option<usize> {
        let settings = self.config.tools.as_ref()?;
        let open = self.consultations.in_a_row < settings.in_a_row;
        (open && settings.shown > 0 && !self.consultations.tools.is_empty()).then_some(settings.shown)
    }

    /// Whether what is on offer has to be picked for the task, because there is too much of it.
    pub(super) fn picks_tools(&self) -> Option<usize> {
        self.may_consult().filter(|most| self.consultations.tools.len() > *most)
    }

    /// How many tools a skill may be offered, where they have to be picked for the task.
    pub(super) fn picks_readers(&self) -> Option<usize> {
        let settings = self.config.tools.as_ref()?;
        let readers = self.consultations.tools.values().filter(|spec| reads(spec)).count();
        (readers > settings.shown && settings.shown > 0).then_some(settings.shown)
    }

    /// Names of the tools that a skill written now may call: those that only read, because a skill is tried before it is
    /// trusted. Of `picked` where that is not empty.
    pub(super) fn readers(&self, picked: &[String]) -> Vec<String> {
        let Some(settings) = &self.config.tools else { return Vec::new() };
        let known = &self.consultations.tools;
        let fits = |name: &&String| known.get(*name).is_some_and(reads);
        if picked.is_empty() {
            known.keys().filter(fits).take(settings.shown).cloned().collect()
        } else {
            picked.iter().filter(fits).take(settings.shown).cloned().collect()
        }
    }

    /// What is known of the tools of these names.
    pub(super) fn offered_to_skills(&self, names: &[String]) -> Vec<ToolSpec> {
        names.iter().filter_map(|name| self.consultations.tools.get(name)).cloned().collect()
    }

    /// What the controller is offered and told; `picked` are the names that fit best, where there are too many.
    pub(super) fn consultable(&mut self, picked: &[String]) -> Consultable {
        let known = &self.consultations;
        let tools: Vec<ToolSpec> = match (self.may_consult(), picked) {
            (None, _) => Vec::new(),
            (Some(most), []) => known.tools.values().take(most).cloned().collect(),
            (Some(most), picked) => {
                picked.iter().filter_map(|name| known.tools.get(name)).take(most).cloned().collect()
            }
        };
        let unconstrained = known.unconstrained.keys().cloned().collect();
        let shown = known.shown.iter().map(|shown| (shown.call.clone(), shown.words.clone())).collect();
        let notices = std::mem::take(&mut self.consultations.notices).into();
        Consultable { tools, unconstrained, shown, notices }
    }

    /// The call of a tool that an answer asks for, if it does.
    pub(super) fn asked_for(&self, answer: &Map<String, Value>) -> Option<ToolCall> {
        let name = answer.get("tool").and_then(Value::as_str)?;
        self.config.tools.as_ref()?;
        let args = answer.get("args").and_then(Value::as_object).cloned().unwrap_or_default();
        Some(ToolCall { name: name.to_owned(), args })
    }

    pub(super) fn consult(&mut self, call: ToolCall, then: AfterConsultation) -> Vec<Effect> {
        let untrusted = self.tainted();
        self.phase = Phase::Consulting(Consultation { call: call.clone(), then });
        vec![Effect::CallTool { call, untrusted }]
    }

    pub(super) fn consulted(
        &mut self,
        consultation: Consultation,
        outcome: &ToolOutcome,
        trusted: bool,
    ) -> Vec<Effect> {
        let Consultation { call, then } = consultation;
        self.totals.tool_calls += 1;
        self.consultations.add(&call, outcome, trusted);
        if let Some(reason) = self.over_budget() {
            return self.finish(reason);
        }
        match then {
            AfterConsultation::Choose { proposals, memories } => {
                let picked = self.consultations.tools.keys().filter(|name| **name == call.name).cloned();
                // The tool that answered stays in sight, so that its answer can be followed up.
                let picked: Vec<String> =
                    if self.picks_tools().is_some() { picked.collect() } else { Vec::new() };
                self.choose(proposals, memories, &picked)
            }
            AfterConsultation::Improvise => self.improvise(),
        }
    }
}

fn reads(spec: &ToolSpec) -> bool {
    spec.effects.changes_nothing()
}

/// The first candidate as a JSON object; empty where it was cut short.
pub(super) fn object(reply: &Reply) -> Map<String, Value> {
    let text = reply.candidates.first().map_or("", |candidate| candidate.text.as_str());
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}
