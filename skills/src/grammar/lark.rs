//! Writes a grammar in the Lark dialect of llguidance.

use super::node::{Definition, Grammar, Node};
use std::fmt::Write;

impl Grammar {
    /// The grammar for llguidance.
    pub fn to_lark(&self) -> String {
        let mut lark = String::from("%llguidance {}\n");
        for Definition { name, node, except } in &self.definitions {
            if except.is_empty() {
                let _ = writeln!(lark, "{name}: {}", render(node, Level::Choice));
            } else {
                let words: Vec<String> = except.iter().map(|word| quote(word)).collect();
                let pattern = render(node, Level::Item);
                let _ = writeln!(lark, "{name}: {pattern} & ~({})", words.join(" | "));
            }
        }
        lark
    }
}

/// Precedence level at which a node needs no parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Level {
    /// Alternatives.
    Choice,
    /// A sequence.
    Seq,
    /// One item with a repetition.
    Item,
    /// One item that can take a repetition.
    Atom,
}

fn render(node: &Node, level: Level) -> String {
    let (text, own) = match node {
        Node::Text(text) => (quote(text), Level::Atom),
        Node::Class(ranges) => (class(ranges, ""), Level::Atom),
        Node::Name(name) => ((*name).to_owned(), Level::Atom),
        Node::Seq(nodes) => (join(nodes, " ", Level::Item), Level::Seq),
        Node::Choice(nodes) => (join(nodes, " | ", Level::Seq), Level::Choice),
        Node::Repeat { node, min, max } => {
            let times = match (min, max) {
                (0, 1) => "?".to_owned(),
                (min, max) => format!("{{{min},{max}}}"),
            };
            match &**node {
                // Inside the regular expression, a repeated class remains part of one lexeme.
                Node::Class(ranges) => (class(ranges, &times), Level::Atom),
                node => (render(node, Level::Atom) + &times, Level::Item),
            }
        }
    };
    if own < level { format!("({text})") } else { text }
}

fn join(nodes: &[Node], separator: &str, level: Level) -> String {
    nodes.iter().map(|node| render(node, level)).collect::<Vec<_>>().join(separator)
}

/// A string literal. Lark uses JSON's escapes.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A regular expression for a character class.
fn class(ranges: &[(char, char)], times: &str) -> String {
    let escaped = |c: char| match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\\' | '[' | ']' | '^' | '-' | '/' | '&' | '~' | '#' => format!("\\{c}"),
        c => c.to_string(),
    };
    let inside: String = ranges
        .iter()
        .map(
            |&(from, to)| {
                if from == to { escaped(from) } else { format!("{}-{}", escaped(from), escaped(to)) }
            },
        )
        .collect();
    format!("/[{inside}]{times}/")
}

#[cfg(test)]
mod tests {
    use super::super::node::{choice, name, optional, repeat, seq, text};
    use super::*;

    #[test]
    fn nodes_are_rendered_with_minimal_parentheses() {
        for (node, expected) in [
            (seq([text("a\"\n"), name("RULE")]), r#""a\"\n" RULE"#),
            (seq([choice([text("a"), text("b")]), text("c")]), r#"("a" | "b") "c""#),
            (optional(seq([text("a"), text("b")])), r#"("a" "b")?"#),
            (repeat(optional(text("a")), 2, 3), r#"("a"?){2,3}"#),
            (repeat(Node::Class(&[('a', 'z'), ('/', '/')]), 0, 4), r"/[a-z\/]{0,4}/"),
            (repeat(choice([name("x")]), 1, 2), "(x){1,2}"),
        ] {
            assert_eq!(render(&node, Level::Choice), expected);
        }
    }
}
