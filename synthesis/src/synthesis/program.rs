//! Candidate programs: their steps, and the one JavaScript text that gives the steps their meaning.

use super::selector::{Selection, Selector};
use super::text::TextExpression;
use crate::javascript::{HELPERS, indented, member, observed, quote};
use serde_json::Value;
use sojourn_tools::EnvironmentSpec;

/// How often a search acts on the same element, at most.
const TURNS: usize = 8;

/// A part of a program.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// One call.
    Call { tool: String, args: Vec<Argument> },
    /// The same call for several elements.
    ForEach { tool: String, selection: Selection },
    /// The same call for all texts of a list that the goal contains; the list is a field of an element.
    ForEachOption { tool: String, element: Selector, field: String },
    /// The same call again and again, until an element is there.
    Search { tool: String, over: SearchOver, until: Selector },
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Argument {
    /// The id of an element.
    Element(Selector),
    /// A text.
    Text(TextExpression),
    /// The first text of a list that the goal contains; the list is this field of the element in the argument before.
    OptionOf(String),
    /// Always this value.
    Fixed(Value),
}

/// The elements that a search acts on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SearchOver {
    /// One after the other, all elements of this kind that are there when the search begins.
    Kind(String),
    /// Whatever this selector finds, up to [`TURNS`] times.
    Repeated(Selector),
}

/// The program in JavaScript. `head` is its first line, up to the opening brace. It returns false where an element or a text
/// that a call needs is not there. `by_goal` says that it always reads the goal first; otherwise it does where a step uses it.
pub(crate) fn write(environment: &EnvironmentSpec, head: &str, steps: &[Step], by_goal: bool) -> String {
    let (Some(spec), Some(question)) = (&environment.exploration, &environment.question) else {
        return String::new();
    };
    let elements = observed(&spec.elements);
    let mut lines: Vec<String> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let number = at + 1;
        match step {
            Step::Call { tool, args } => {
                let mut given = Vec::new();
                let mut element = String::new();
                for (position, argument) in args.iter().enumerate() {
                    let suffix = if position == 0 { "" } else { "b" };
                    let mut checked = |prefix: &str, value: String, is_missing: &str| {
                        let name = format!("{prefix}{number}{suffix}");
                        lines.push(format!("const {name} = {value};"));
                        lines.push(format!("if ({is_missing}{name}) return false;"));
                        name
                    };
                    given.push(match argument {
                        Argument::Element(selector) => {
                            element = checked("element", selector.expression(spec, &elements), "!");
                            format!("{element}.id")
                        }
                        Argument::Text(TextExpression::Fixed(text)) => quote(text),
                        Argument::Text(TextExpression::Argument(expression)) => expression.clone(),
                        Argument::Text(text) => {
                            checked("text", text.expression(spec, &elements), "undefined === ")
                        }
                        Argument::OptionOf(field) => {
                            let option = format!("{}.find(said)", member(&element, field));
                            checked("text", option, "undefined === ")
                        }
                        Argument::Fixed(value) => value.to_string(),
                    });
                }
                let returned = if number == steps.len() { "return " } else { "" };
                lines.push(format!("{returned}{tool}({});", given.join(", ")));
            }
            Step::ForEach { tool, selection } => {
                lines
                    .push(format!("for (const id of {}) {tool}(id);", selection.expression(spec, &elements)));
            }
            Step::ForEachOption { tool, element, field } => {
                let name = format!("element{number}");
                lines.push(format!("const {name} = {};", element.expression(spec, &elements)));
                lines.push(format!("if (!{name}) return false;"));
                lines.push(format!("const id{number} = {name}.id;"));
                let options = format!("{}.filter(said)", member(&name, field));
                lines.push(format!("for (const text of {options}) {tool}(id{number}, text);"));
            }
            Step::Search { tool, over, until } => {
                let until = until.expression(spec, &elements);
                match over {
                    SearchOver::Kind(kind) => {
                        let of_kind = format!("{} === {}", member("e", &spec.kind), quote(kind));
                        lines.push(format!(
                            "for (const id of {elements}.filter(e => {of_kind}).map(e => e.id)) {{"
                        ));
                        lines.push(format!("  if ({until}) break;"));
                        lines.push(format!("  {tool}(id);"));
                    }
                    SearchOver::Repeated(selector) => {
                        lines.push(format!("for (let turn = 0; turn < {TURNS} && !({until}); turn++) {{"));
                        lines.push(format!("  const next = {};", selector.expression(spec, &elements)));
                        lines.push("  if (!next) break;".to_owned());
                        lines.push(format!("  {tool}(next.id);"));
                    }
                }
                lines.push("}".to_owned());
            }
        }
    }
    if !matches!(steps.last(), Some(Step::Call { .. })) {
        lines.push("return true;".to_owned());
    }
    let used = |name: &str| lines.iter().any(|line| line.contains(name));
    let mut first = Vec::new();
    if by_goal || used("goal") || HELPERS.iter().any(|(name, _)| used(name)) {
        first.push(format!("const goal = {};", observed(&question.path)));
    }
    first.extend(HELPERS.iter().filter(|(name, _)| used(name)).map(|(_, helper)| (*helper).to_owned()));
    first.extend(lines);
    let body: String = first.iter().map(|line| indented(line)).collect();
    format!("{head}{body}}}")
}
