use super::GrammarSpec;
use super::javascript::with_fixed_counters;
use super::node::{Grammar, Node, choice, name, repeat, seq, text};
use serde::{Deserialize, Serialize};

/// Limits of a free program: number of lines, and characters of a line.
const LINES: u32 = 80;
const COLUMNS: u32 = 158;
/// Printable ASCII.
const PRINTABLE: &[(char, char)] = &[(' ', '~')];

/// The language in which a model writes skills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// A restricted subset: granted functions, known properties and counted loops only.
    #[default]
    Subset,
    /// Any JavaScript within one function, for capable models. The compiler,
    /// [`static_check`](crate::static_check) and the trial find mistakes; fuel ends endless loops.
    JavaScript,
}

impl Language {
    /// Grammar of the rest of a function after `function NAME(PARAMETERS) {` and a line break, including its
    /// closing brace.
    pub fn grammar(self, spec: &GrammarSpec) -> Grammar {
        match self {
            Self::Subset => with_fixed_counters(spec),
            Self::JavaScript => free(),
        }
    }
}

/// Indented or empty lines, then the function's closing brace.
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
    fn names_match_the_agent_file() {
        let read = |text: &str| serde_json::from_value::<Language>(text.into()).ok();
        assert_eq!(read("subset"), Some(Language::Subset));
        assert_eq!(read("javascript"), Some(Language::JavaScript));
        assert_eq!(read("python"), None);
    }

    #[test]
    fn only_the_default_subset_fixes_loop_counters() {
        let spec = GrammarSpec { name: "f".into(), ..GrammarSpec::default() };
        let (old, new) = (javascript_subset(&spec), Language::Subset.grammar(&spec));
        assert!(old.find("TARGET").is_none() && new.find("TARGET").is_some());
        assert_eq!(old.definitions.len() + 1, new.definitions.len());
    }
}
