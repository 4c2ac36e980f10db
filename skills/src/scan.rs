//! A tokeniser for just enough JavaScript to see which names a source calls.

use sojourn_tools::schema::RESERVED;
use std::collections::BTreeSet;

/// A piece of source that matters to a scan. Comments and blanks are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An identifier or keyword.
    Word(&'a str),
    /// A number, string or template, as written.
    Value(&'a str),
    /// One character of anything else.
    Punct(char),
}

/// A token and the line it stands in, from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) line: usize,
}

/// Splits a source into tokens. What stands in a template between `${` and `}` is source too. Whether a slash divides
/// or begins a regular expression is told by what stands before it, as far as that tells.
pub(crate) fn tokens(source: &str) -> Vec<Located<'_>> {
    let mut found: Vec<Located<'_>> = Vec::new();
    let (mut rest, mut line) = (source, 1);
    // Braces that are open in each template that is.
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

/// Whether an expression begins after this token, rather than going on.
fn begins_expression(before: Option<&Located<'_>>) -> bool {
    match before.map(|located| located.token) {
        Some(Token::Word(word)) => is_keyword(word) && !matches!(word, "this" | "null" | "true" | "false"),
        Some(Token::Value(_) | Token::Punct(')' | ']' | '}')) => false,
        Some(Token::Punct(_)) | None => true,
    }
}

/// The names that a source calls as functions, `name(…)`, without those it calls as methods; sorted.
pub fn called_names(source: &str) -> BTreeSet<String> {
    calls(&tokens(source)).map(|(name, _)| name.to_owned()).collect()
}

/// Every call of a plain name with its line. Keywords and the names of functions being declared are no calls.
pub(crate) fn calls<'a>(tokens: &[Located<'a>]) -> impl Iterator<Item = (&'a str, usize)> {
    tokens.iter().enumerate().filter_map(|(at, located)| {
        let Token::Word(name) = located.token else { return None };
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map(|located| located.token);
        let declared = matches!(before, Some(Token::Punct('.') | Token::Word("function")));
        let called = tokens.get(at + 1).is_some_and(|next| next.token == Token::Punct('('));
        (called && !declared && !is_keyword(name)).then_some((name, located.line))
    })
}

/// Whether `name` can be a JavaScript name in the subset that skills are written in: ASCII, not reserved.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !is_keyword(name)
}

/// Words that are no names in a skill, besides those that a module cannot use.
const MORE: [&str; 3] = ["async", "of", "undefined"];

/// Words that are no names in a skill.
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

/// Length of the string or template at the start of `text`, to the end of the text if it is not closed.
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

/// Length of the piece of a template at the start of `text`, its first letter included, and whether an expression follows.
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

/// Length of the regular expression at the start of `text` without its flags; of the slash alone where no other closes it.
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
    fn what_is_a_call() {
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
        fn any_text_is_scanned(text in "\\PC*") {
            called_names(&text);
        }
    }
}
