//! What the texts of a state mean to the explorer: computed by the same helper functions that programs use.

use crate::javascript::all_helpers;
use crate::synthesis::Evaluator;
use crate::ui::{UiElement, UiState};
use serde::Deserialize;
use serde_json::{Value, json};
use sojourn_sandbox::Program;
use sojourn_tools::ExplorationSpec;
use std::collections::{BTreeMap, BTreeSet};

/// Reads states in the sandbox.
pub(super) struct Reader {
    evaluator: Evaluator,
    program: Option<Program>,
}

/// What a [`Reader`] found in one state.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The texts of the goal in quotation marks, in order, without empty ones.
    pub quoted: Vec<String>,
    facts: BTreeMap<String, Facts>,
}

/// Facts about one text.
#[derive(Debug, Default, Deserialize)]
struct Facts {
    /// Whether the goal contains it.
    mentioned: bool,
    number: Option<f64>,
    /// The result of the calculation that it begins with.
    calculated: Option<String>,
    /// Its word at the place that the goal's first ordinal number states.
    ordinal_word: Option<String>,
}

impl Reader {
    pub(super) async fn new(evaluator: Evaluator) -> Self {
        let source = format!(
            "function evaluate(goal, texts) {{\n{}{}",
            all_helpers(),
            r#"  const quoted = goal.split("\"").filter((text, at) => at % 2 === 1 && text !== "");
  const facts = texts.map(text => ({
    mentioned: said(text), number: isNumber(text) ? +text : null, calculated: calculated(text),
    ordinal_word: places.length ? words(text)[places[0] - 1] : null,
  }));
  return { quoted, facts };
}
"#
        );
        let program = evaluator.compile(&source).await;
        Self { evaluator, program }
    }

    pub(super) async fn read(&self, spec: &ExplorationSpec, state: &UiState) -> Reading {
        #[derive(Deserialize)]
        struct Answer {
            quoted: Vec<String>,
            facts: Vec<Facts>,
        }
        let mut texts: BTreeSet<&str> = BTreeSet::new();
        for element in &state.elements {
            texts.extend(element.texts(spec).map(|(_, text)| text));
            texts.extend(element.lists().flat_map(|(_, list)| list).map(String::as_str));
        }
        let Some(program) = &self.program else { return Reading::default() };
        let answer = self.evaluator.call(program, &[Value::from(state.goal.as_str()), json!(texts)]).await;
        // Where the sandbox gave up, which it warned of, nothing is known of the texts.
        let Ok(Answer { quoted, facts }) = serde_json::from_value(answer) else { return Reading::default() };
        Reading { quoted, facts: texts.into_iter().map(str::to_owned).zip(facts).collect() }
    }
}

impl Reading {
    /// Whether the goal contains a text of the state.
    pub(super) fn is_mentioned(&self, text: &str) -> bool {
        self.facts.get(text).is_some_and(|facts| facts.mentioned)
    }

    /// Whether the goal contains one of the texts of an element.
    pub(super) fn mentions(&self, spec: &ExplorationSpec, element: &UiElement) -> bool {
        element.texts(spec).any(|(_, text)| self.is_mentioned(text))
    }

    /// The number that a text of the state is.
    pub(super) fn number(&self, text: &str) -> Option<f64> {
        self.facts.get(text)?.number
    }

    /// The result of the calculation that a text of the state begins with.
    pub(super) fn calculated(&self, text: &str) -> Option<&str> {
        self.facts.get(text)?.calculated.as_deref()
    }

    /// The word of a text of the state at the place that the goal's first ordinal number states.
    pub(super) fn ordinal_word(&self, text: &str) -> Option<&str> {
        self.facts.get(text)?.ordinal_word.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{SANDBOX, desk};

    /// Reads a desk on which each of these texts is a label.
    async fn read(goal: &str, texts: &[&str]) -> Reading {
        let note =
            |(at, text): (usize, &&str)| json!({"id": format!("e{at}"), "kind": "note", "words": text});
        let notes: Vec<Value> = texts.iter().enumerate().map(note).collect();
        let environment = desk();
        let state = UiState::read(&environment, &json!({"wish": goal, "desk": {"things": notes}})).unwrap();
        let spec = environment.exploration.unwrap();
        Reader::new(Evaluator::new(SANDBOX.clone())).await.read(&spec, &state).await
    }

    #[tokio::test]
    async fn texts_in_quotation_marks_are_told_apart() {
        for (goal, quoted) in [
            ("say \"a\" and \"b c\".", vec!["a", "b c"]),
            ("none", vec![]),
            ("an \"open one", vec!["open one"]),
            ("\"\" \"x", vec!["x"]),
        ] {
            assert_eq!(read(goal, &[]).await.quoted, quoted, "{goal}");
        }
    }

    #[tokio::test]
    async fn mentions_numbers_ordinals_and_calculations_are_read() {
        let texts = ["The 2ND:", "4th", "", "-3.5", "inf", "3rd", "7 x 6 =", "10-12", "7 apples", "one two"];
        let reading = read("the 2nd of 3, and the 11th", &texts).await;
        let mentioned: Vec<&str> = texts.into_iter().filter(|text| reading.is_mentioned(text)).collect();
        assert_eq!(mentioned, ["The 2ND:"]);
        assert_eq!(reading.number("-3.5"), Some(-3.5));
        assert_eq!((reading.number("inf"), reading.number(""), reading.number("3rd")), (None, None, None));
        assert_eq!(reading.calculated("7 x 6 ="), Some("42"));
        assert_eq!(reading.calculated("10-12"), Some("-2"));
        assert_eq!(reading.calculated("7 apples"), None);
        assert_eq!((reading.ordinal_word("one two"), reading.ordinal_word("inf")), (Some("two"), None));
        let reading = read("the 5 of them", &["one two"]).await;
        assert_eq!(reading.ordinal_word("one two"), None, "a number alone is no place");
    }
}
