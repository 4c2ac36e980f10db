//! What earlier episodes taught the random policy.

use crate::plan::DemonstratedCall;
use crate::ui::UiElement;
use std::collections::{BTreeMap, BTreeSet};

/// Statistics of the episodes so far.
#[derive(Default)]
pub(super) struct Experience {
    episodes: usize,
    /// In how many goals each word stood. Words that differ from world to world say what to do in this one.
    words: BTreeMap<String, usize>,
    /// For each tool, kind and label: how often it was acted on, and how often that was the last call of its episode.
    acted: BTreeMap<(String, String, String), (usize, usize)>,
}

impl Experience {
    /// Adds an episode; `ended` says whether its last call ended it.
    pub(super) fn add(&mut self, goal: &str, steps: &[DemonstratedCall], ended: bool) {
        self.episodes += 1;
        for word in bare_words(goal).collect::<BTreeSet<_>>() {
            *self.words.entry(word.to_owned()).or_default() += 1;
        }
        for (at, step) in steps.iter().enumerate() {
            let target = step.call.args.values().next().and_then(|id| step.state.element(id));
            let Some(element) = target else { continue };
            let (times, last) = self.acted.entry(key(&step.call.name, element)).or_default();
            *times += 1;
            *last += usize::from(ended && at + 1 == steps.len());
        }
    }

    /// Whether a tool has always ended the episode when it acted on such an element.
    pub(super) fn ends(&self, tool: &str, element: &UiElement) -> bool {
        self.acted.get(&key(tool, element)).is_some_and(|(times, last)| *times > 1 && times == last)
    }

    /// Whether a word stands in less than half of the goals.
    pub(super) fn differs(&self, word: &str) -> bool {
        self.episodes > 3 && self.words.get(word).is_none_or(|times| times * 2 < self.episodes)
    }
}

fn key(tool: &str, element: &UiElement) -> (String, String, String) {
    (tool.to_owned(), element.kind.clone(), element.label.clone())
}

/// The parts of a goal between blanks, each without the punctuation around it.
pub(super) fn bare_words(goal: &str) -> impl Iterator<Item = &str> {
    let words = goal.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    words.filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::demonstration;
    use serde_json::json;

    #[test]
    fn words_that_differ_and_calls_that_end_episodes_are_noticed() {
        let elements = json!([{"id": "a", "kind": "lever", "words": "Go"}, {"id": "b", "kind": "lever", "words": "Look"}]);
        let mut experience = Experience::default();
        for color in ["red", "blue", "green", "red"] {
            let goal = format!("Push the \"{color}\" one.");
            let calls = [("push", json!({"what": "b"})), ("push", json!({"what": "a"}))];
            experience.add(&goal, &demonstration(&goal, &elements, &calls).steps, true);
        }
        assert!(experience.differs("blue") && experience.differs("new"));
        assert!(!experience.differs("Push") && !experience.differs("one"));
        let last = demonstration("", &elements, &[("push", json!({"what": "a"}))]);
        let [go, look] = last.steps[0].state.elements.as_slice() else { panic!() };
        assert!(
            experience.ends("push", go) && !experience.ends("push", look) && !experience.ends("fill", go)
        );
    }
}
