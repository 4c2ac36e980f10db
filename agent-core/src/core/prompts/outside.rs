//! Texts of the world, of memories and of lessons in prompts: quoted where they come from outside.

use super::prompt;
use sojourn_tools::EnvironmentSpec;
use sojourn_tools::outside::quote;

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

    /// The line before inline texts that says what they are; `None` for a trusted world.
    pub fn inline_introduction(self) -> Option<String> {
        self.untrusted.then(|| prompt!("tools", "outside_inline"))
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
