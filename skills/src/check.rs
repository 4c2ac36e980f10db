use crate::Callable;
use crate::scan::{Located, Token, calls, tokens};
use std::collections::BTreeSet;

/// A problem that is certain without running the source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The function with the skill's name is not declared.
    #[error("the function `{name}` is not declared")]
    MissingEntry {
        /// Name of the skill.
        name: String,
    },
    /// The function's parameters differ from the skill's.
    #[error("`{name}` must take ({}), not ({})", expected.join(", "), found.join(", "))]
    WrongParameters {
        /// Name of the skill.
        name: String,
        /// Parameters of the skill.
        expected: Vec<String>,
        /// Parameters in the source.
        found: Vec<String>,
    },
    /// The called function does not exist.
    #[error("line {line}: there is no function `{name}`{}", suggest(.nearest.as_ref()))]
    UnknownFunction {
        /// Called name.
        name: String,
        /// Line of the call, from 1.
        line: usize,
        /// The most similar callable name.
        nearest: Option<String>,
    },
    /// The skill calls itself.
    #[error("line {line}: `{name}` calls itself")]
    Recursion {
        /// Name of the skill.
        name: String,
        /// Line of the call, from 1.
        line: usize,
    },
    /// A loop without a condition, `break`, `return` or `throw`.
    #[error("line {line}: this loop never ends")]
    EndlessLoop {
        /// Line of the loop, from 1.
        line: usize,
    },
}

fn suggest(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// Built-in functions of JavaScript that a skill may call.
const BUILTINS: &[&str] = &[
    "Array",
    "Boolean",
    "Error",
    "Map",
    "Math",
    "Number",
    "Object",
    "Set",
    "String",
    "isFinite",
    "isNaN",
    "parseFloat",
    "parseInt",
];

/// Checks a source statically. It is to become the skill `name` with these parameters and may call the
/// functions in `granted`.
///
/// # Errors
/// All problems, in source order.
pub fn static_check(
    source: &str,
    name: &str,
    parameters: &[impl AsRef<str>],
    granted: &[Callable],
) -> Result<(), Vec<Problem>> {
    let tokens = tokens(source);
    let mut problems = Vec::new();

    match declared_parameters(&tokens, name) {
        None => problems.push(Problem::MissingEntry { name: name.into() }),
        Some(found) => {
            let expected: Vec<String> = parameters.iter().map(|p| p.as_ref().to_owned()).collect();
            if found != expected {
                let found = found.into_iter().map(str::to_owned).collect();
                problems.push(Problem::WrongParameters { name: name.into(), expected, found });
            }
        }
    }

    let mut known: BTreeSet<&str> = granted.iter().map(|callable| callable.name.as_str()).collect();
    known.extend(BUILTINS);
    known.extend(declared(&tokens));
    for (called, line) in calls(&tokens) {
        if called == name {
            problems.push(Problem::Recursion { name: name.into(), line });
        } else if !known.contains(called) {
            let names = granted.iter().map(|callable| callable.name.as_str());
            let nearest = sojourn_tools::nearest(called, names);
            problems.push(Problem::UnknownFunction { name: called.into(), line, nearest });
        }
    }
    problems.extend(endless_loops(&tokens).map(|line| Problem::EndlessLoop { line }));

    problems.sort_by_key(Problem::line);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Whether the source calls one of these functions.
pub fn calls_any(source: &str, names: &[&str]) -> bool {
    calls(&tokens(source)).into_iter().any(|(called, _)| names.contains(&called))
}

impl Problem {
    fn line(&self) -> usize {
        match self {
            Self::MissingEntry { .. } | Self::WrongParameters { .. } => 0,
            Self::UnknownFunction { line, .. }
            | Self::Recursion { line, .. }
            | Self::EndlessLoop { line } => *line,
        }
    }
}

fn at<'a>(tokens: &[Located<'a>], position: usize) -> Option<Token<'a>> {
    tokens.get(position).map(|located| located.token)
}

/// Parameter names of `function name(…)`, without defaults.
fn declared_parameters<'a>(tokens: &[Located<'a>], name: &str) -> Option<Vec<&'a str>> {
    let start = (0..tokens.len()).find(|&start| {
        at(tokens, start) == Some(Token::Word("function"))
            && at(tokens, start + 1) == Some(Token::Word(name))
            && at(tokens, start + 2) == Some(Token::Punct('('))
    })? + 2;
    let end = closing(tokens, start);
    let (mut names, mut depth) = (Vec::new(), 0_usize);
    for position in start..end {
        match tokens[position].token {
            Token::Punct('(' | '[' | '{') => depth += 1,
            Token::Punct(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Word(word)
                if depth == 1 && matches!(at(tokens, position - 1), Some(Token::Punct('(' | ','))) =>
            {
                names.push(word);
            }
            _ => {}
        }
    }
    Some(names)
}

/// Names that the source declares as functions, variables or classes.
fn declared<'a>(tokens: &[Located<'a>]) -> impl Iterator<Item = &'a str> {
    tokens.windows(2).filter_map(|pair| match (pair[0].token, pair[1].token) {
        (Token::Word("function" | "const" | "let" | "var" | "class"), Token::Word(name)) => Some(name),
        _ => None,
    })
}

/// Position of the bracket that closes the one at `open`, or the end of the tokens.
fn closing(tokens: &[Located<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (position, located) in tokens.iter().enumerate().skip(open) {
        match located.token {
            Token::Punct('(' | '[' | '{') => depth += 1,
            Token::Punct(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return position;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Lines of unconditional loops whose body contains no `break`, `return` or `throw`.
fn endless_loops(tokens: &[Located<'_>]) -> impl Iterator<Item = usize> {
    (0..tokens.len()).filter_map(|position| {
        let head = &tokens[position + 1..];
        let open = match tokens[position].token {
            Token::Word("while") => matches!(at(head, 1), Some(Token::Word("true") | Token::Value("1"))),
            Token::Word("for") => {
                at(head, 1) == Some(Token::Punct(';')) && at(head, 2) == Some(Token::Punct(';'))
            }
            _ => false,
        };
        let end = closing(tokens, position + 1);
        let unconditional = match tokens[position].token {
            Token::Word("while") => end == position + 3,
            _ => true,
        };
        (open && unconditional && !has_way_out(tokens, end + 1)).then_some(tokens[position].line)
    })
}

/// Whether the statement at `start` can leave the loop whose body it is.
fn has_way_out(tokens: &[Located<'_>], start: usize) -> bool {
    let end = if at(tokens, start) == Some(Token::Punct('{')) {
        closing(tokens, start)
    } else {
        statement_end(tokens, start)
    };
    let mut position = start;
    while position < end {
        match tokens[position].token {
            Token::Word("break" | "return" | "throw") => return true,
            // A `break` in an inner loop leaves only that loop, but a `return` leaves both.
            Token::Word("while" | "for") => {
                let head = closing(tokens, position + 1);
                let body_end = if at(tokens, head + 1) == Some(Token::Punct('{')) {
                    closing(tokens, head + 1)
                } else {
                    statement_end(tokens, head + 1)
                };
                let body = &tokens[(head + 1).min(tokens.len())..body_end.min(tokens.len())];
                if body.iter().any(|t| matches!(t.token, Token::Word("return" | "throw"))) {
                    return true;
                }
                position = body_end;
            }
            _ => {}
        }
        position += 1;
    }
    false
}

/// Position of the `;` that ends a statement without braces, including its `else` branches.
fn statement_end(tokens: &[Located<'_>], start: usize) -> usize {
    let mut position = start;
    while position < tokens.len() {
        match tokens[position].token {
            Token::Punct('(' | '[' | '{') => position = closing(tokens, position),
            Token::Punct(';') if at(tokens, position + 1) != Some(Token::Word("else")) => return position,
            Token::Punct('}') => return position,
            _ => {}
        }
        position += 1;
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted() -> Vec<Callable> {
        ["go_to", "explore", "interact", "observe", "collect_wood"]
            .map(|name| Callable { name: name.into(), parameters: Vec::new() })
            .into()
    }

    fn problems(source: &str, parameters: &[&str]) -> Vec<String> {
        static_check(source, "get_wood", parameters, &granted())
            .err()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_correct_source_has_no_problems() {
        let source = "function get_wood(n = 1) {\n  const target = observe().inventory.wood + n;\n  \
            while (true) {\n    if (go_to(\"tree\")) interact();\n    else explore(12);\n    \
            if (observe().inventory.wood >= target) break;\n  }\n  return Math.max(1, 2);\n}";
        assert_eq!(problems(source, &["n"]), [""; 0]);
    }

    #[test]
    fn problems_name_their_line() {
        for (source, parameters, expected) in [
            ("function other() {}", vec![], vec!["the function `get_wood` is not declared"]),
            ("function get_wood(m, k = [1, 2]) {}", vec!["n"], vec!["`get_wood` must take (n), not (m, k)"]),
            (
                "function get_wood() {\n  collect_wod(1);\n}",
                vec![],
                vec!["line 2: there is no function `collect_wod`; did you mean `collect_wood`?"],
            ),
            ("function get_wood() {\n\n  get_wood();\n}", vec![], vec!["line 3: `get_wood` calls itself"]),
            (
                "function get_wood() {\n  while (true) explore(1);\n}",
                vec![],
                vec!["line 2: this loop never ends"],
            ),
            (
                "function get_wood() {\n  for (;;) {\n    while (go_to(1)) { break; }\n  }\n}",
                vec![],
                vec!["line 2: this loop never ends"],
            ),
        ] {
            assert_eq!(problems(source, &parameters), expected, "{source}");
        }
    }

    #[test]
    fn a_loop_with_an_exit_is_accepted() {
        for body in [
            "while (true) { for (;;) { return; } }",
            "while (true) if (go_to(1)) explore(1); else break;",
            "while (true && go_to(1)) {}",
            "for (; go_to(1);) {}",
        ] {
            assert_eq!(problems(&format!("function get_wood() {{ {body} }}"), &[]), [""; 0], "{body}");
        }
    }

    #[test]
    fn a_source_that_only_looks_calls_nothing_that_acts() {
        let acting = ["interact", "collect_wood"];
        assert!(!calls_any(
            "function get_wood() {\n  // interact()\n  return observe().wood > 0;\n}",
            &acting
        ));
        assert!(!calls_any("function get_wood() { return true; }", &acting));
        assert!(calls_any("function get_wood() { if (observe().wood) interact(); }", &acting));
    }

    proptest::proptest! {
        #[test]
        fn checking_never_panics(text in "(function|get_wood|while|for|true|[(){};,.a ]){0,40}") {
            let _ = static_check(&text, "get_wood", &["n"], &granted());
        }
    }
}
