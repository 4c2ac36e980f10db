//! Texts of the world, of memories and of lessons in prompts: quoted where they come from outside.

use super::{message, prompt};
use sojourn_controller::{Message, Role};
use sojourn_primitives::JsonPointer;
use sojourn_tools::outside::quote;
use sojourn_tools::{EnvironmentSpec, Example};
use std::borrow::Cow;

/// Limit on a name that is shown without quotation marks, in bytes.
const MAX_NAME: usize = 40;

/// How prompts show the texts of one world: as they are, or quoted where the world is not trusted.
#[derive(Debug, Clone, Copy)]
pub(in crate::core) struct WorldText {
    untrusted: bool,
    /// Whether an observation states the goal of its episode.
    states_goal: bool,
}

impl WorldText {
    pub fn of(spec: &EnvironmentSpec) -> Self {
        Self { untrusted: spec.untrusted, states_goal: spec.question.is_some() }
    }

    /// The same, quoted too where other content from outside may be among the texts.
    pub fn or_outside(self, untrusted: bool) -> Self {
        Self { untrusted: self.untrusted || untrusted, ..self }
    }

    /// A text of several lines, without a line break at the end.
    pub fn block(self, text: &str) -> String {
        if !self.untrusted {
            return text.trim_end().to_owned();
        }
        let introduction =
            if self.states_goal { prompt!("tools", "outside_goal") } else { prompt!("tools", "outside") };
        format!("{introduction}\n{}", quote::block(text))
    }

    /// A text inside a sentence.
    pub fn inline(self, text: &str) -> String {
        if self.untrusted { quote::inline(text) } else { text.to_owned() }
    }

    /// The name of a thing inside a sentence: as it is where it is a word or a short phrase.
    pub fn name(self, name: &str) -> String {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '\'' | '_' | ':' | '.');
        if name.len() <= MAX_NAME && name.chars().all(is_plain) { name.to_owned() } else { self.inline(name) }
    }

    /// Where a program finds a field: `observe().counters.painted`, without the call.
    pub fn property(self, path: &JsonPointer) -> String {
        if !self.untrusted {
            return path.as_str().replace('/', ".");
        }
        let named = |name: Cow<'_, str>| match name_from_outside(&name) {
            plain if *plain == *name => format!(".{plain}"),
            quoted => format!("[{quoted}]"),
        };
        path.names().map(named).collect()
    }

    /// The calls that are possible now.
    pub fn available(self, calls: &[String]) -> String {
        if self.untrusted {
            prompt!("choose_action", "available_outside", calls = quote::block(&calls.join("\n")))
        } else {
            prompt!("choose_action", "available", calls = quote::one_line(&calls.join("; ")))
        }
    }

    /// The line before inline texts that says what they are; `None` for a trusted world.
    pub fn inline_introduction(self) -> Option<String> {
        self.untrusted.then(|| prompt!("tools", "outside_inline"))
    }
}

/// A name that others chose: as it is where it is an identifier of ordinary length, else quoted.
pub(in crate::core) fn name_from_outside(name: &str) -> String {
    let is_plain = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '-'));
    if is_plain { name.to_owned() } else { quote::inline(name) }
}

/// A worked example: as the controller's own answer, or quoted where it comes from outside.
pub(in crate::core) fn example(example: &Example, task: String) -> Vec<Message> {
    if example.untrusted {
        let quoted = quote::block(&format!("{}\n{}", example.task, example.source));
        vec![message(Role::User, prompt!("tools", "example_from_outside", example = quoted))]
    } else {
        vec![message(Role::User, task), message(Role::Assistant, example.source.clone())]
    }
}

/// A lesson inside a list: quoted where it was made of text from outside.
pub(in crate::core) fn lesson(text: &str, untrusted: bool) -> String {
    if untrusted {
        prompt!("tools", "lesson_from_outside", lesson = quote::inline(text))
    } else {
        text.to_owned()
    }
}

/// Instructions that came with a run from elsewhere.
pub(in crate::core) fn instructions(text: &str) -> String {
    format!("{}\n{}", prompt!("tools", "outside"), quote::block(text))
}
