//! Turns the engine's error descriptions into messages for the author of the skill.

use crate::{Binding, CallError, LimitKind};
use serde::Deserialize;

/// File name in the stack frames of a skill.
const SKILL_FILE: &str = "skill.js:";
/// Limit on a message, in characters.
const MAX_MESSAGE_CHARS: usize = 2000;

/// An error as described by the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thrown {
    /// Class name such as `TypeError`; empty if a value other than an error was thrown.
    pub name: String,
    pub message: String,
    /// Line of the innermost frame in the skill, from 1; 0 if there is none.
    pub line: u32,
    pub column: u32,
    /// Whether the error was thrown inside a function that the skill called there.
    inside_call: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Description {
    name: String,
    message: String,
    stack: String,
}

impl Thrown {
    pub(crate) fn parse(description: &[u8]) -> Self {
        let Ok(Description { name, mut message, stack }) = serde_json::from_slice(description) else {
            return Self::plain("the skill failed without saying why");
        };
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS) {
            message.truncate(end);
            message.push('…');
        }
        let frame = stack.lines().zip(0..).find_map(|(frame, depth)| position(frame).map(|at| (at, depth)));
        let ((line, column), depth) = frame.unwrap_or_default();
        let inside_call = depth > 0 || message.ends_with("not a function");
        Self { name, message, line, column, inside_call }
    }

    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self { name: "Error".to_owned(), message: message.into(), line: 0, column: 0, inside_call: false }
    }

    /// Whether the engine ran out of memory.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.name == "InternalError" && self.message == "out of memory"
    }

    /// The exception, with hints for undefined names.
    pub(crate) fn into_exception(self, source: &str, bindings: &[Binding]) -> CallError {
        let source_line = line_of(source, self.line).to_owned();
        let Self { name, mut message, line, mut column, inside_call } = self;
        if inside_call {
            column = start_of_call(&source_line, column);
        }
        match name.as_str() {
            "ReferenceError" => {
                if let Some(unknown) = message.strip_suffix(" is not defined").map(str::to_owned) {
                    message += &help_with(&unknown, bindings);
                }
            }
            "RangeError" if message.contains("call stack") => {
                message += " (a function keeps calling itself)";
            }
            _ => {}
        }
        let name = if name.is_empty() { "Thrown".to_owned() } else { name };
        CallError::Exception { name, message, line, column, source_line }
    }

    /// A limit error at the position of this error.
    pub(crate) fn into_limit(self, which: LimitKind, message: String) -> CallError {
        CallError::Limit { which, message, line: self.line }
    }
}

/// Line and column of a stack frame in the skill: `    at walk (skill.js:3:5)`.
fn position(frame: &str) -> Option<(u32, u32)> {
    let (_, place) = frame.split_once(SKILL_FILE)?;
    let (line, column) = place.trim_end_matches(')').split_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

/// Column where a call expression starts. The engine reports the column after its opening parenthesis.
fn start_of_call(line: &str, column: u32) -> u32 {
    let before: Vec<char> = line.chars().take((column as usize).saturating_sub(1)).collect();
    let Some((bracket, callee)) = before.split_last() else { return column };
    let length = callee
        .iter()
        .rev()
        .take_while(|c| c.is_alphanumeric() || matches!(**c, '_' | '$' | '.' | '#'))
        .count();
    if *bracket == '(' && length > 0 { (callee.len() - length) as u32 + 1 } else { column }
}

/// Text of a line, counted from 1; empty if it does not exist.
pub(crate) fn line_of(source: &str, line: u32) -> &str {
    (line as usize).checked_sub(1).and_then(|index| source.lines().nth(index)).unwrap_or_default()
}

/// The most similar name, if it is similar enough for a typing error.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn help_with(unknown: &str, bindings: &[Binding]) -> String {
    if bindings.is_empty() {
        return "; this skill may call no other".to_owned();
    }
    let meant = nearest(unknown, bindings.iter().map(|binding| binding.name.as_str()))
        .map(|name| format!("did you mean `{name}`? "))
        .unwrap_or_default();
    let granted: Vec<String> = bindings
        .iter()
        .map(|binding| format!("{}({})", binding.name, binding.parameters.join(", ")))
        .collect();
    format!("; {meant}there are: {}", granted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_skill_frame_gives_the_position() {
        let stack = "    at call (native)\n    at go_to (<prelude>:12:3)\n    at walk (skill.js:3:5)\n    at main (skill.js:9:1)\n";
        let description = serde_json::json!({"name": "Error", "message": "no", "stack": stack});
        let thrown = Thrown::parse(description.to_string().as_bytes());
        assert_eq!((thrown.line, thrown.column), (3, 5));
    }

    #[test]
    fn a_call_starts_with_its_callee() {
        for (line, column, start) in [
            ("  return fail(what);", 15, 10),
            ("a.b.c(1)", 7, 1),
            ("(x)", 2, 2),
            ("f (x)", 4, 4),
            ("ä(ö(1))", 5, 3),
            ("", 1, 1),
            ("f(1)", 99, 99),
            ("f(1)", 0, 0),
        ] {
            assert_eq!(start_of_call(line, column), start, "{line}");
        }
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let description = serde_json::json!({"name": "Error", "message": "ü".repeat(5000)});
        let thrown = Thrown::parse(description.to_string().as_bytes());
        assert_eq!(thrown.message.chars().count(), MAX_MESSAGE_CHARS + 1);
    }

    #[test]
    fn an_unknown_name_lists_the_nearest_and_all_names() {
        let bindings = [Binding::call("go_to", ["kind"]), Binding::live("observe")];
        assert_eq!(help_with("goto", &bindings), "; did you mean `go_to`? there are: go_to(kind), observe()");
        assert_eq!(help_with("xyz", &bindings), "; there are: go_to(kind), observe()");
    }
}
