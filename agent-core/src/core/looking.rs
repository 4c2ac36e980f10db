//! Looking at the world before a choice: once for each moment, where `run.observe` has "frame".
//!
//! The picture enters by an event before any request shows it, and what a tool read in it is that tool's recorded answer. So a
//! replay needs neither the world nor the picture nor the networks. A picture comes from outside, whatever the world is: it taints
//! the run unless the policy trusts the tool that gives or reads it.

use super::curriculum::Proposal;
use super::{Core, Phase};
use crate::config::Sense;
use crate::model::Effect;
use serde_json::{Map, Value};
use sojourn_tools::schema::identifier;
use sojourn_tools::{Media, ToolCall, ToolOutcome};

/// Characters shown of the text in a picture.
const READ_CHARS: usize = 2000;

/// The choice that continues after the look.
pub(super) enum AfterLook {
    /// The choice among proposals.
    Choose { proposals: Vec<Proposal> },
    /// The choice of one tool call of the world.
    ChooseAction,
}

/// The picture of the present moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Look {
    /// The picture; `None` where the world gave none.
    pub picture: Option<Media>,
    /// Whether the controller is shown it.
    pub shown: bool,
    /// What a tool read in it.
    pub text: Option<String>,
}

impl Core {
    /// Whether the controller is shown what this sense gives.
    pub(super) fn shows(&self, sense: Sense) -> bool {
        self.config.observe.contains(&sense)
    }

    /// What the controller is shown of the present observation's text.
    pub(super) fn shown_text(&self) -> &str {
        if self.shows(Sense::Text) { &self.episode.observation.text } else { "" }
    }

    /// Whether the picture of this moment has to be asked for before a choice.
    pub(super) fn must_look(&self) -> bool {
        self.shows(Sense::Frame) && self.episode.look.is_none()
    }

    pub(super) fn look(&mut self, then: AfterLook) -> Vec<Effect> {
        self.phase = Phase::Looking { then };
        vec![Effect::Look {}]
    }

    /// Has a tool read the picture, where the controller cannot see and the run has such a tool.
    pub(super) fn looked(
        &mut self,
        then: AfterLook,
        picture: Option<Media>,
        shown: bool,
        trusted: bool,
    ) -> Vec<Effect> {
        let handle = picture.as_ref().map(Media::handle);
        let shown = shown && handle.is_some();
        self.episode.look = Some(Look { picture, shown, text: None });
        if shown && !trusted {
            self.consultations.taint();
        }
        if let (false, Some(handle), Some(name)) = (shown, handle, self.reader()) {
            let args = Map::from_iter([("media".to_owned(), Value::from(handle))]);
            let (call, untrusted) = (ToolCall { name, args }, self.tainted());
            self.phase = Phase::Reading { then };
            return vec![Effect::CallTool { call, untrusted }];
        }
        self.after_look(then)
    }

    /// The tool that reads text in pictures, if the run has one now.
    fn reader(&self) -> Option<String> {
        let eyes = self.config.tools.as_ref()?.eyes.as_ref()?;
        let name = identifier(eyes, "read");
        self.tools().contains_key(&name).then_some(name)
    }

    /// A tool has read the picture, or could not.
    pub(super) fn picture_read(
        &mut self,
        then: AfterLook,
        outcome: &ToolOutcome,
        trusted: bool,
    ) -> Vec<Effect> {
        self.totals.tool_calls += 1;
        if let Some(look) = self.episode.look.as_mut().filter(|_| outcome.ok) {
            let whole = outcome.to_text();
            let mut text: String = whole.chars().take(READ_CHARS).collect();
            if text.len() < whole.len() {
                text.push_str(" …");
            }
            look.text = Some(text);
            if !trusted {
                self.consultations.taint();
            }
        }
        if let Some(reason) = self.over_budget() {
            return self.finish(reason);
        }
        self.after_look(then)
    }

    fn after_look(&mut self, then: AfterLook) -> Vec<Effect> {
        match then {
            AfterLook::Choose { proposals } => self.recall_for(proposals),
            AfterLook::ChooseAction => self.choose_action(),
        }
    }
}
