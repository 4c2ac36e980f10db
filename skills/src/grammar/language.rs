use super::javascript::with_fixed_counters;
use super::node::{Grammar, Node, choice, name, repeat, seq, text};
use super::{GrammarSpec, ReflexSpec, reflex_subset};
use serde::{Deserialize, Serialize};

/// Longest string, template, comment or run of code between them, in characters. A longer run is several.
const RUN: u32 = 1000;

/// Every character beyond ASCII, in two ranges: surrogates are no characters.
const BEFORE: (char, char) = ('\u{80}', '\u{d7ff}');
const AFTER: (char, char) = ('\u{e000}', '\u{10ffff}');
/// What stands between the parts that may hold a brace which opens or closes nothing.
const CODE: &[(char, char)] = &[
    ('\t', '\n'),
    ('\r', '\r'),
    (' ', '!'),
    ('#', '&'),
    ('(', '.'),
    ('0', '_'),
    ('a', 'z'),
    ('|', '|'),
    ('~', '~'),
    BEFORE,
    AFTER,
];
/// What may follow a slash that divides or begins a regular expression.
const AFTER_SLASH: &[(char, char)] = &[
    ('\t', '\n'),
    ('\r', '\r'),
    (' ', '!'),
    ('#', '&'),
    ('(', ')'),
    ('+', '.'),
    ('0', '_'),
    ('a', 'z'),
    ('|', '|'),
    ('~', '~'),
    BEFORE,
    AFTER,
];
const ANY: &[(char, char)] = &[('\t', '\n'), ('\r', '\r'), (' ', '~'), BEFORE, AFTER];
const ON_ONE_LINE: &[(char, char)] = &[('\t', '\t'), (' ', '~'), BEFORE, AFTER];
const IN_DOUBLE_QUOTES: &[(char, char)] = &[('\t', '\t'), (' ', '!'), ('#', '['), (']', '~'), BEFORE, AFTER];
const IN_SINGLE_QUOTES: &[(char, char)] = &[('\t', '\t'), (' ', '&'), ('(', '['), (']', '~'), BEFORE, AFTER];
const IN_TEMPLATE: &[(char, char)] =
    &[('\t', '\n'), ('\r', '\r'), (' ', '['), (']', '_'), ('a', '~'), BEFORE, AFTER];
const NO_STAR: &[(char, char)] = &[('\t', '\n'), ('\r', '\r'), (' ', ')'), ('+', '~'), BEFORE, AFTER];
const NO_STAR_OR_SLASH: &[(char, char)] =
    &[('\t', '\n'), ('\r', '\r'), (' ', ')'), ('+', '.'), ('0', '~'), BEFORE, AFTER];

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

    /// Grammar of the rest of a reflex after `function NAME(state) {` and a line break, including its closing brace.
    pub fn reflex_grammar(self, spec: &ReflexSpec<'_>) -> Grammar {
        match self {
            Self::Subset => reflex_subset(spec),
            Self::JavaScript => free(),
        }
    }
}

/// Any text up to the brace that closes the function. Braces in strings, templates and comments do not count.
fn free() -> Grammar {
    let mut grammar = Grammar { definitions: Vec::new() };
    grammar.define("start", seq([name("body"), text("}")]));
    grammar.define("body", choice([text(""), seq([name("body"), name("part")])]));
    let block = seq([text("{"), name("body"), text("}")]);
    let parts = ["CODE", "SLASH", "DOUBLE", "SINGLE", "TEMPLATE", "LINE_COMMENT", "COMMENT"].map(name);
    grammar.define("part", choice(parts.into_iter().chain([block])));
    grammar.define("CODE", repeat(Node::Class(CODE), 1, RUN));
    grammar.define("SLASH", seq([text("/"), Node::Class(AFTER_SLASH)]));
    let quoted = |mark: &str, inside: &'static [(char, char)], escaped: &'static [(char, char)]| {
        let escape = seq([text("\\"), Node::Class(escaped)]);
        seq([text(mark), repeat(choice([Node::Class(inside), escape]), 0, RUN), text(mark)])
    };
    grammar.define("DOUBLE", quoted("\"", IN_DOUBLE_QUOTES, ANY));
    grammar.define("SINGLE", quoted("'", IN_SINGLE_QUOTES, ANY));
    grammar.define("TEMPLATE", quoted("`", IN_TEMPLATE, ANY));
    grammar.define("LINE_COMMENT", seq([text("//"), repeat(Node::Class(ON_ONE_LINE), 0, RUN), text("\n")]));
    let stars = || repeat(text("*"), 1, RUN);
    let inside = choice([Node::Class(NO_STAR), seq([stars(), Node::Class(NO_STAR_OR_SLASH)])]);
    grammar.define("COMMENT", seq([text("/*"), repeat(inside, 0, RUN), stars(), text("/")]));
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
