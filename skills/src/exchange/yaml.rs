//! The subset of YAML used in Agent Skills front matter: a mapping of names to texts or to one nested mapping
//! of texts.
//!
//! Texts are plain, quoted, or blocks (`|` and `>`). Anchors, tags, sequences and flow collections are
//! refused: front matter does not need them, and they allow a small file to expand without bounds.

use std::collections::BTreeMap;

/// Limit on the fields of a mapping.
const MAX_FIELDS: usize = 64;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A text.
    Text(String),
    /// A mapping of texts.
    Map(BTreeMap<String, String>),
}

/// Parses front matter.
///
/// # Errors
/// What is wrong, with its line.
pub fn parse(head: &str) -> Result<BTreeMap<String, Node>, String> {
    let lines: Vec<&str> = head.lines().collect();
    let mut fields = BTreeMap::new();
    let mut at = 0;
    while let Some((key, rest)) = field(&lines, &mut at, 0)? {
        let line = at;
        let value = match (rest, indent(&lines, at)) {
            ("", Some(deeper)) if deeper > 0 => Node::Map(mapping(&lines, &mut at, deeper)?),
            (rest, _) => Node::Text(text(&lines, &mut at, rest, 0)?),
        };
        insert(&mut fields, key, value, line)?;
    }
    Ok(fields)
}

fn mapping(lines: &[&str], at: &mut usize, depth: usize) -> Result<BTreeMap<String, String>, String> {
    let mut fields = BTreeMap::new();
    while let Some((key, rest)) = field(lines, at, depth)? {
        let line = *at;
        let value = text(lines, at, rest, depth)?;
        insert(&mut fields, key, value, line)?;
    }
    Ok(fields)
}

fn insert<T>(fields: &mut BTreeMap<String, T>, key: &str, value: T, line: usize) -> Result<(), String> {
    if fields.len() == MAX_FIELDS {
        return Err(format!("line {line}: there are more than {MAX_FIELDS} fields"));
    }
    match fields.insert(key.to_owned(), value) {
        Some(_) => Err(format!("line {line}: a field is repeated")),
        None => Ok(()),
    }
}

/// Reads the next `key: rest` at indentation `depth`, skipping blank lines and comments. Advances `at` beyond
/// it.
fn field<'a>(lines: &[&'a str], at: &mut usize, depth: usize) -> Result<Option<(&'a str, &'a str)>, String> {
    let Some(indented) = indent(lines, *at) else {
        *at = lines.len();
        return Ok(None);
    };
    while lines[*at].trim().is_empty() || lines[*at].trim_start().starts_with('#') {
        *at += 1;
    }
    let (line, number) = (lines[*at], *at + 1);
    if indented < depth {
        return Ok(None);
    }
    let bad = |what: &str| Err(format!("line {number}: {what}"));
    if indented > depth || line.starts_with('\t') {
        return bad("it is indented more than the lines before it");
    }
    let Some((key, rest)) = line.trim().split_once(':') else { return bad("`:` is missing after a name") };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || key.len() > 64 || !key.chars().all(plain) {
        return bad("the text before `:` is not a name");
    }
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return bad("a space is missing after `:`");
    }
    *at += 1;
    Ok(Some((key, rest.trim())))
}

/// Indentation of the next line that is neither blank nor a comment.
fn indent(lines: &[&str], at: usize) -> Option<usize> {
    let says = |line: &&&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    lines.get(at..)?.iter().find(says).map(|line| line.len() - line.trim_start_matches(' ').len())
}

/// Reads a text that starts with `rest` and continues in lines indented by more than `depth`.
fn text(lines: &[&str], at: &mut usize, rest: &str, depth: usize) -> Result<String, String> {
    let number = *at;
    let bad = |what: &str| Err(format!("line {number}: {what}"));
    match rest.chars().next() {
        Some('|' | '>') => {
            let kept = &rest[1..];
            if !matches!(kept, "" | "-" | "+") {
                return bad("a block starts with `|` or `>` alone");
            }
            let body = more(lines, at, depth);
            Ok(body.join(if rest.starts_with('|') { "\n" } else { " " }).trim().to_owned())
        }
        Some(quote @ ('"' | '\'')) => {
            let mut whole = vec![rest];
            whole.extend(more(lines, at, depth));
            let whole = whole.join(" ");
            let unquoted = match quote {
                '"' => serde_json::from_str::<String>(&whole).ok(),
                _ => single(&whole),
            };
            unquoted.map_or_else(|| bad("a quoted text is not closed, or is followed by more text"), Ok)
        }
        Some('[' | ']' | '{' | '}' | '&' | '*' | '!' | '%' | '@' | '`') => {
            bad("only texts are allowed as values; put quotes around it")
        }
        Some('-') if rest == "-" || rest.starts_with("- ") => bad("a list is not allowed here"),
        _ => {
            let mut whole = vec![rest];
            whole.extend(more(lines, at, depth));
            let whole = whole.join(" ");
            let plain = whole.split_once(" #").map_or(whole.as_str(), |(before, _)| before).trim();
            if plain.contains(": ") || plain.ends_with(':') {
                return bad("a text with `: ` in it needs quotes");
            }
            Ok(plain.to_owned())
        }
    }
}

/// Reads the continuation lines of a value, without indentation.
fn more<'a>(lines: &[&'a str], at: &mut usize, depth: usize) -> Vec<&'a str> {
    let mut found = Vec::new();
    while let Some(line) = lines.get(*at) {
        let deeper = line.len() - line.trim_start_matches(' ').len() > depth;
        if !line.trim().is_empty() && !deeper {
            break;
        }
        found.push(line.trim());
        *at += 1;
    }
    found
}

/// Unquotes a single-quoted text, in which two quotes stand for one.
fn single(text: &str) -> Option<String> {
    let inside = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let unescaped = inside.replace("''", "\0");
    (!unescaped.contains('\'') && text.len() > 1).then(|| unescaped.replace('\0', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_is_parsed() {
        let head = "\n# a comment\nname: go-home\ndescription: >\n  Goes home,\n  and stays.\n\nlicense: 'it''s mine'  \n\
                    quoted: \"a: \\\"b\\\" # c\"\nplain: over\n  two lines # with a comment\nmetadata:\n  version: 1.0\n  by: \"x\"\nlast: |\n  a\n  b\n";
        let fields = parse(head).unwrap();
        let text = |name: &str| match &fields[name] {
            Node::Text(text) => text.as_str(),
            Node::Map(_) => "",
        };
        assert_eq!(text("description"), "Goes home, and stays.");
        assert_eq!(text("license"), "it's mine");
        assert_eq!(text("quoted"), "a: \"b\" # c");
        assert_eq!(text("plain"), "over two lines");
        assert_eq!(text("last"), "a\nb");
        let map = [("by", "x"), ("version", "1.0")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(fields["metadata"], Node::Map(BTreeMap::from(map)));
        assert_eq!(fields.len(), 7);
    }

    #[test]
    fn errors_name_their_line() {
        for (head, reason) in [
            ("a", "line 1: `:` is missing"),
            ("a: 1\na: 2", "line 2: a field is repeated"),
            ("a: [1]", "line 1: only texts"),
            ("a: &x 1", "line 1: only texts"),
            ("a: *x", "line 1: only texts"),
            ("a: !!python/object x", "line 1: only texts"),
            ("  a: 1", "line 1: it is indented"),
            ("a: \"x", "line 1: a quoted text"),
            ("a: 'x", "line 1: a quoted text"),
            ("a: '", "line 1: a quoted text"),
            ("a: \"x\" y", "line 1: a quoted text"),
            ("a: b: c", "line 1: a text with"),
            ("a:b", "line 1: a space is missing"),
            ("a: - b", "line 1: a list"),
            ("? a", "line 1: `:` is missing"),
        ] {
            let said = parse(head).unwrap_err();
            assert!(said.starts_with(reason), "{head}: {said}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "[a: \\n\"'|>#\\-\\[&*]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn quoted_texts_round_trip(text in "\\PC{0,60}") {
            let fields = parse(&format!("a: {}\n", serde_json::Value::from(text.as_str())));
            proptest::prop_assert_eq!(fields.unwrap().remove("a"), Some(Node::Text(text)));
        }
    }
}
