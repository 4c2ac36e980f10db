//! Tools outside the world: which are on offer, and their answers.
//!
//! Before the controller settles on a task it may ask a few tools. Their answers come from outside: prompts quote them, and
//! every later call carries a taint mark that the policy sees. Descriptions of tools that others wrote, an untrusted world,
//! memories and skills that were made of text from outside, and a run from elsewhere taint the same way. A taint is never
//! taken away.

use super::curriculum::Proposal;
use super::prompts::Consultable;
use super::{Core, Phase};
use crate::model::{Effect, Recalled, as_javascript};
use serde_json::{Map, Value};
use sojourn_tools::{ToolCall, ToolOutcome, ToolSpec};
use std::collections::{BTreeMap, VecDeque};

/// Most answers shown, the latest.
const ANSWERS: usize = 3;
/// Characters shown of an answer.
const ANSWER_CHARS: usize = 1200;
/// Most notices shown at once, the latest.
const NOTICES: usize = 3;

/// The state of the tools outside the world.
#[derive(Debug, Default)]
pub(super) struct Consultations {
    /// Available tools by name.
    tools: BTreeMap<String, ToolSpec>,
    /// Tools whose schema the grammar cannot enforce, with the reason: their arguments are validated after the answer.
    unconstrained: BTreeMap<String, String>,
    /// What happened to tools since the controller was last asked.
    notices: VecDeque<String>,
    /// Answers in this episode.
    answers: VecDeque<Answer>,
    /// Calls since the controller last settled on a task or an action.
    in_a_row: u32,
    /// Whether content from outside may have influenced the present calls.
    tainted: bool,
}

/// A tool's answer.
#[derive(Debug, Clone)]
struct Answer {
    /// The call as JavaScript.
    call: String,
    /// The answer as text, at most [`ANSWER_CHARS`] characters.
    text: String,
}

/// A call to a tool, and the choice that it interrupts.
pub(super) struct Consultation {
    pub call: ToolCall,
    pub then: AfterConsultation,
}

/// The choice that continues after the answer.
pub(super) enum AfterConsultation {
    /// The choice among proposals.
    Choose { proposals: Vec<Proposal>, memories: Vec<Recalled> },
    /// The choice of one tool call of the world.
    ChooseAction,
}

impl Consultations {
    /// Applies a change of the tools.
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
        // A notice repeats what a server or a program wrote.
        self.tainted |= !notices.is_empty();
        self.notices.extend(notices.iter().cloned());
        while self.notices.len() > NOTICES {
            self.notices.pop_front();
        }
    }

    pub fn episode_started(&mut self) {
        self.answers.clear();
        self.in_a_row = 0;
    }

    /// The controller settled on a task or an action.
    pub fn settled(&mut self) {
        self.in_a_row = 0;
    }

    /// Content from outside has reached the run.
    pub fn taint(&mut self) {
        self.tainted = true;
    }

    fn add(&mut self, call: &ToolCall, outcome: &ToolOutcome, trusted: bool) {
        self.in_a_row += 1;
        self.tainted |= !trusted;
        let whole = outcome.to_text();
        let mut text: String = whole.chars().take(ANSWER_CHARS).collect();
        if text.len() < whole.len() {
            text.push_str(" …");
        }
        if self.answers.len() == ANSWERS {
            self.answers.pop_front();
        }
        self.answers.push_back(Answer { call: as_javascript(call), text });
    }
}

impl Core {
    /// Available tools outside the world, by name.
    pub fn tools(&self) -> &BTreeMap<String, ToolSpec> {
        &self.consultations.tools
    }

    /// Whether content from outside may have influenced the present calls.
    pub fn tainted(&self) -> bool {
        self.consultations.tainted
    }

    /// Most tools that the controller may be offered now; `None` where it may not ask any.
    pub(super) fn tools_on_offer(&self) -> Option<usize> {
        let settings = self.config.tools.as_ref()?;
        let open = self.consultations.in_a_row < settings.in_a_row;
        (open && settings.shown > 0 && !self.consultations.tools.is_empty()).then_some(settings.shown)
    }

    /// How many tools must be picked by relevance, where more are available than may be offered.
    pub(super) fn tools_to_pick(&self) -> Option<usize> {
        self.tools_on_offer().filter(|most| self.consultations.tools.len() > *most)
    }

    /// How many tools must be picked by relevance for a skill, where more are available than may be offered.
    pub(super) fn reading_tools_to_pick(&self) -> Option<usize> {
        let settings = self.config.tools.as_ref()?;
        let readers = self.consultations.tools.values().filter(|spec| reads(spec)).count();
        (readers > settings.shown && settings.shown > 0).then_some(settings.shown)
    }

    /// Names of the tools that a new skill may call: tools that only read, because a skill is tried before it is trusted.
    /// They come from `picked` where that is not empty.
    pub(super) fn reading_tools(&self, picked: &[String]) -> Vec<String> {
        let Some(settings) = &self.config.tools else { return Vec::new() };
        let known = &self.consultations.tools;
        let fits = |name: &&String| known.get(*name).is_some_and(reads);
        if picked.is_empty() {
            known.keys().filter(fits).take(settings.shown).cloned().collect()
        } else {
            picked.iter().filter(fits).take(settings.shown).cloned().collect()
        }
    }

    /// The descriptions of the tools of these names, for a prompt.
    pub(super) fn show_tools(&mut self, names: &[String]) -> Vec<ToolSpec> {
        let tools = self.tool_specs(names);
        self.consultations.tainted |= tools.iter().any(|tool| tool.untrusted);
        tools
    }

    /// The descriptions of the tools of these names.
    pub(super) fn tool_specs(&self, names: &[String]) -> Vec<ToolSpec> {
        names.iter().filter_map(|name| self.consultations.tools.get(name)).cloned().collect()
    }

    /// The tools, answers and notices for the next choice. `picked` are the names that fit best, where there are too many.
    pub(super) fn consultable(&mut self, picked: &[String]) -> Consultable {
        let known = &self.consultations;
        let tools: Vec<ToolSpec> = match (self.tools_on_offer(), picked) {
            (None, _) => Vec::new(),
            (Some(most), []) => known.tools.values().take(most).cloned().collect(),
            (Some(most), picked) => {
                picked.iter().filter_map(|name| known.tools.get(name)).take(most).cloned().collect()
            }
        };
        let shows_untrusted = tools.iter().any(|tool| tool.untrusted);
        let unconstrained = known.unconstrained.keys().cloned().collect();
        let answers: Vec<(String, String)> =
            known.answers.iter().map(|answer| (answer.call.clone(), answer.text.clone())).collect();
        let notices = std::mem::take(&mut self.consultations.notices).into();
        self.consultations.tainted |= shows_untrusted;
        Consultable {
            tools,
            unconstrained,
            // What stands last is what small models choose: after an answer, that should be a task again.
            tools_last: self.config.rules >= 3 && answers.is_empty(),
            answers,
            notices,
            notices_quoted: self.config.rules >= 2 || self.spec.untrusted && self.from_elsewhere,
        }
    }

    /// The tool call in the controller's answer, if it has one.
    pub(super) fn requested_tool(&self, answer: &Map<String, Value>) -> Option<ToolCall> {
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
                // The tool that answered stays on offer, so that its answer can be followed up.
                let picked: Vec<String> =
                    if self.tools_to_pick().is_some() { picked.collect() } else { Vec::new() };
                self.choose(proposals, memories, &picked)
            }
            AfterConsultation::ChooseAction => self.choose_action(),
        }
    }
}

fn reads(spec: &ToolSpec) -> bool {
    spec.effects.changes_nothing()
}
