//! A tokeniser for the part of JavaScript that shows which names a source calls.

use sojourn_tools::schema::RESERVED;
use std::collections::BTreeSet;

/// A token. Comments and white space are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An identifier or keyword.
    Word(&'a str),
    /// A number, string, template part or regular expression, as written.
    Value(&'a str),
    /// Any other single character.
    Punct(char),
}

/// A token with its line, from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) line: usize,
}

/// Tokenises a source, including expressions in templates. The preceding token decides whether a slash
/// divides or starts a regular expression; this is a heuristic.
pub(crate) fn tokens(source: &str) -> Vec<Located<'_>> {
    let mut found: Vec<Located<'_>> = Vec::new();
    let (mut rest, mut line) = (source, 1);
    // Number of open braces in each open template.
    let mut templates: Vec<usize> = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (length, token) = if first.is_whitespace() {
            (first.len_utf8(), None)
        } else if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), None)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            (comment.find("*/").map_or(rest.len(), |end| end + 4), None)
        } else if is_word_start(first) {
            let length = span(rest, is_word_part);
            (length, Some(Token::Word(&rest[..length])))
        } else if first.is_ascii_digit() {
            let length = span(rest, |c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
            (length, Some(Token::Value(&rest[..length])))
        } else if matches!(first, '"' | '\'') {
            let length = quoted(rest, first);
            (length, Some(Token::Value(&rest[..length])))
        } else if first == '`' || (first == '}' && templates.last() == Some(&0)) {
            if first == '}' {
                templates.pop();
            }
            let (length, opens) = template(rest);
            if opens {
                templates.push(0);
            }
            (length, Some(Token::Value(&rest[..length])))
        } else if first == '/' && begins_expression(found.last()) {
            let length = regular_expression(rest);
            (length, Some(Token::Value(&rest[..length])))
        } else {
            if let Some(open) = templates.last_mut() {
                match first {
                    '{' => *open += 1,
                    '}' => *open -= 1,
                    _ => {}
                }
            }
            (first.len_utf8(), Some(Token::Punct(first)))
        };
        if let Some(token) = token {
            found.push(Located { token, line });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// Whether an expression starts after this token, as opposed to continuing.
fn begins_expression(before: Option<&Located<'_>>) -> bool {
    match before.map(|located| located.token) {
        Some(Token::Word(word)) => is_keyword(word) && !matches!(word, "this" | "null" | "true" | "false"),
        Some(Token::Value(_) | Token::Punct(')' | ']' | '}')) => false,
        Some(Token::Punct(_)) | None => true,
    }
}

/// Names that a source calls as functions, `name(…)`, without method calls.
pub fn called_names(source: &str) -> BTreeSet<String> {
    calls(&tokens(source)).map(|(name, _)| name.to_owned()).collect()
}

/// Every call of a plain name, with its line. Keywords and function declarations do not count.
pub(crate) fn calls<'a>(tokens: &[Located<'a>]) -> impl Iterator<Item = (&'a str, usize)> {
    tokens.iter().enumerate().filter_map(|(at, located)| {
        let Token::Word(name) = located.token else { return None };
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map(|located| located.token);
        let declared = matches!(before, Some(Token::Punct('.') | Token::Word("function")));
        let called = tokens.get(at + 1).is_some_and(|next| next.token == Token::Punct('('));
        (called && !declared && !is_keyword(name)).then_some((name, located.line))
    })
}

/// Whether `name` is valid in the subset of JavaScript that skills use: ASCII and not reserved.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !is_keyword(name)
}

/// Further words that cannot be names in a skill, besides those reserved in modules.
const MORE: [&str; 3] = ["async", "of", "undefined"];

/// All words that cannot be names in a skill.
pub(crate) fn keywords() -> impl Iterator<Item = &'static str> {
    RESERVED.into_iter().chain(MORE)
}

fn is_keyword(name: &str) -> bool {
    RESERVED.contains(&name) || MORE.contains(&name)
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn span(text: &str, part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !part(c)).unwrap_or(text.len())
}

/// Length of the string at the start of `text`, or of the whole text if it is not closed.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Length of the template part at the start of `text`, including its delimiter, and whether an expression
/// follows.
fn template(text: &str) -> (usize, bool) {
    let mut escaped = false;
    let mut before = ' ';
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => {
                escaped = false;
                before = ' ';
                continue;
            }
            '\\' => escaped = true,
            '`' => return (at + 1, false),
            '{' if before == '$' => return (at + 1, true),
            _ => {}
        }
        before = c;
    }
    (text.len(), false)
}

/// Length of the regular expression at the start of `text`, without flags; 1 if no slash closes it.
fn regular_expression(text: &str) -> usize {
    let (mut escaped, mut in_class) = (false, false);
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return 1,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => return at + 1,
            _ => {}
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn called_names_are_found() {
        for (source, expected) in [
            ("function f(n = 1) { go_to(\"tree\"); }", vec!["go_to"]),
            ("if (sleep()) while (noop (2)) {}", vec!["noop", "sleep"]),
            ("// go_to()\n/* make() */ \"place()\"; `x(${1})`", vec![]),
            ("Math.min(observe().wood, list.push(1))", vec!["observe"]),
            ("const make = 1; make + 2", vec![]),
            ("'it\\'s'; place(1)", vec!["place"]),
            ("\"unclosed(", vec![]),
            ("`a ${go_to(`b ${make({x: \"}\"})}`)} place()` + sleep()", vec!["go_to", "make", "sleep"]),
            ("`\\${go_to()}`; `$`; place()", vec!["place"]),
            ("goal.match(/\"[^\"/(]*\"/g); go_to(1)", vec!["go_to"]),
            ("return /it's (here)/.test(x) && make()", vec!["make"]),
            ("a / place(1) / sleep(2); list[0] / go_to() / 2", vec!["go_to", "place", "sleep"]),
            ("x = / go_to(1)", vec!["go_to"]),
            ("/*/ go_to() */ make()", vec!["make"]),
        ] {
            assert_eq!(called_names(source).into_iter().collect::<Vec<_>>(), expected, "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn scanning_never_panics(text in "\\PC*") {
            called_names(&text);
        }
    }
}
