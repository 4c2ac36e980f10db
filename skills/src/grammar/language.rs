use super::GrammarSpec;
use super::javascript::with_fixed_counters;
use super::node::{Grammar, Node, choice, name, repeat, seq, text};
use serde::{Deserialize, Serialize};

/// Lines of a free program, and characters of one line, at most.
const LINES: u32 = 80;
const COLUMNS: u32 = 158;
/// Printable ASCII.
const PRINTABLE: &[(char, char)] = &[(' ', '~')];

/// What a model writes skills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// The clean subset: only granted functions, known properties and counted loops can be written at all.
    #[default]
    Subset,
    /// Any JavaScript, one function long: for models that know what they may call. What is wrong with it is found
    /// by the compiler, by [`static_check`](crate::static_check) and by the trial, and what never ends by the fuel.
    JavaScript,
}

impl Language {
    /// The grammar of the rest of the function after `function NAME(PARAMETERS) {` and a line break, with its
    /// closing brace.
    pub fn grammar(self, spec: &GrammarSpec) -> Grammar {
        match self {
            Self::Subset => with_fixed_counters(spec),
            Self::JavaScript => free(),
        }
    }

    /// What the model is told about it, in a few sentences; nothing where the grammar says it all.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Self::Subset => None,
            Self::JavaScript => Some(
                "Write plain JavaScript: variables, arrays, helper functions inside the function and loops are \
                 allowed. Indent every line of the body. Every loop must end by itself: count its rounds. The \
                 functions listed are the only ones besides JavaScript's own; there is no console, no timer, no import \
                 and no network. Calls return when they are done; do not await them.",
            ),
        }
    }
}

/// Indented or empty lines, then the brace that closes the function.
fn free() -> Grammar {
    let mut grammar = Grammar { definitions: Vec::new() };
    grammar.define("start", seq([repeat(name("LINE"), 1, LINES), text("}")]));
    let indented = seq([text(" "), repeat(Node::Class(PRINTABLE), 0, COLUMNS), text("\n")]);
    grammar.define("LINE", choice([text("\n"), indented]));
    grammar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::javascript_subset;

    #[test]
    fn its_names_are_those_of_the_agent_file() {
        let read = |text: &str| serde_json::from_value::<Language>(text.into()).ok();
        assert_eq!(read("subset"), Some(Language::Subset));
        assert_eq!(read("javascript"), Some(Language::JavaScript));
        assert_eq!(read("python"), None);
    }

    #[test]
    fn the_subset_that_older_logs_have_stays_as_it_was() {
        let spec = GrammarSpec { name: "f".into(), ..GrammarSpec::default() };
        let (old, new) = (javascript_subset(&spec), Language::Subset.grammar(&spec));
        assert!(old.find("TARGET").is_none() && new.find("TARGET").is_some());
        assert_eq!(old.definitions.len() + 1, new.definitions.len());
    }
}
