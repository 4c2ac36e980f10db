//! Tools of the client: how the prompt describes them, the grammar of their calls, and parsing the calls of an answer.
//!
//! The marks and the JSON between them are those of the Hermes format, which Qwen and many other models were trained on.

use super::ApiError;
use super::fields::Fields;
use super::format::check_schema;
use crate::constraint::on_one_line;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The part of the prompt that describes the tools; `{tools}` stands for one line of JSON per tool.
const PROMPT: &str = include_str!("tools_prompt.txt");
/// What a call begins with. JSON and free text never have it.
const OPENING: &str = "<tool_call>\n";
/// What follows the arguments of a call.
const CLOSING: &str = "}\n</tool_call>";
/// Limit on the tools of a request.
const MAX_TOOLS: usize = 128;
/// Limit on the calls of one answer.
const MAX_CALLS: usize = 8;
/// Limit on the length of a tool's name, in characters.
const MAX_NAME: usize = 64;

/// Whether the model calls a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// As the model likes: text, calls, or calls after text.
    Auto,
    /// Nothing but calls.
    Required,
}

/// The tools that an answer may call.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) choice: Choice,
    offered: Vec<Tool>,
    /// Whether one answer may have several calls.
    parallel: bool,
}

#[derive(Debug)]
struct Tool {
    name: String,
    /// JSON schema of the arguments.
    parameters: Value,
    /// The tool as the client describes it, on one line.
    line: String,
}

/// A call of a tool.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call<'t> {
    pub(super) name: &'t str,
    /// JSON, as the model wrote it.
    pub(super) arguments: &'t str,
}

impl Tools {
    /// Reads `tools`, `tool_choice` and `parallel_tool_calls`; `None` where the answer calls nothing.
    pub(super) async fn read(body: &mut Fields) -> Result<Option<Self>, ApiError> {
        let parallel = body.flag("parallel_tool_calls")?.unwrap_or(true);
        let listed = body.list("tools")?.unwrap_or_default();
        let choice = body.take("tool_choice");
        if listed.len() > MAX_TOOLS {
            return Err(body.invalid("tools", &format!("must have at most {MAX_TOOLS} tools")));
        }
        let mut tools = Vec::with_capacity(listed.len());
        let mut names = BTreeSet::new();
        for (index, tool) in listed.into_iter().enumerate() {
            let place = body.place(&format!("tools[{index}]"));
            let tool = Tool::read(tool, &place).await?;
            if !names.insert(tool.name.clone()) {
                return Err(ApiError::invalid(place, &format!("has the name `{}` again", tool.name)));
            }
            tools.push(tool);
        }
        let choice = match choice {
            None => Choice::Auto,
            Some(Value::String(word)) => match word.as_str() {
                "auto" => Choice::Auto,
                "required" => Choice::Required,
                "none" => return Ok(None),
                _ => {
                    return Err(body.invalid(
                        "tool_choice",
                        "must be `auto`, `none`, `required` or the name of one function",
                    ));
                }
            },
            Some(value) => {
                let name = chosen(value, &body.place("tool_choice"))?;
                tools.retain(|tool| tool.name == name);
                if tools.is_empty() {
                    return Err(body.invalid("tool_choice", "names a function that is not in `tools`"));
                }
                Choice::Required
            }
        };
        if tools.is_empty() {
            return match choice {
                Choice::Auto => Ok(None),
                Choice::Required => {
                    Err(body.invalid("tool_choice", "requires a call, but there are no `tools`"))
                }
            };
        }
        Ok(Some(Self { choice, offered: tools, parallel }))
    }

    /// The words that tell the model of the tools.
    pub(super) fn prompt(&self) -> String {
        let lines: Vec<&str> = self.offered.iter().map(|tool| tool.line.as_str()).collect();
        PROMPT.trim_end().replace("{tools}", &lines.join("\n"))
    }

    /// Rules of Lark: `opening` begins a call, and `calls` is what follows it.
    pub(super) fn grammar(&self) -> String {
        let more = if self.parallel { MAX_CALLS - 1 } else { 0 };
        let numbered = |prefix: &str| {
            let names: Vec<String> =
                (0..self.offered.len()).map(|index| format!("{prefix}{index}")).collect();
            names.join(" | ")
        };
        let mut grammar = String::from("opening: \"<tool_call>\\n\"\n");
        // Writing to a string cannot fail.
        let _ = match more {
            0 => writeln!(grammar, "calls: call"),
            _ => writeln!(grammar, "calls: call another{{0,{more}}}\nanother: \"\\n<tool_call>\\n\" call"),
        };
        let _ = writeln!(grammar, "call: {}", numbered("call"));
        for (index, tool) in self.offered.iter().enumerate() {
            let begins = json!(format!("{{\"name\": \"{}\", \"arguments\": ", tool.name));
            let ends = json!(CLOSING);
            let schema = on_one_line(tool.parameters.clone());
            let _ = writeln!(grammar, "call{index}: {begins} arguments{index} {ends}");
            let _ = writeln!(grammar, "arguments{index}: %json {schema}");
        }
        grammar
    }
}

impl Tool {
    async fn read(value: Value, place: &str) -> Result<Self, ApiError> {
        let mut tool = Fields::of(value, place)?;
        if tool.needed_text("type")? != "function" {
            return Err(tool.invalid("type", "must be `function`: this server has no tools of other types"));
        }
        let described = tool.take("function").unwrap_or_default();
        let mut function = Fields::of(described.clone(), &tool.place("function"))?;
        tool.end()?;
        let name = function.needed_text("name")?;
        let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_fine) {
            let fault = format!("must be 1 to {MAX_NAME} letters of ASCII, digits, `_` and `-`");
            return Err(function.invalid("name", &fault));
        }
        function.text("description")?;
        // Every schema is enforced.
        function.flag("strict")?;
        let parameters = match function.take("parameters") {
            None => json!({"type": "object", "properties": {}, "additionalProperties": false}),
            Some(schema) if schema["type"] == "object" => {
                check_schema(&schema, &function.place("parameters")).await?;
                schema
            }
            Some(_) => return Err(function.invalid("parameters", "must be a schema of the type `object`")),
        };
        function.end()?;
        Ok(Self { name, parameters, line: json!({"type": "function", "function": described}).to_string() })
    }
}

/// The name in a `tool_choice` that is an object.
fn chosen(value: Value, place: &str) -> Result<String, ApiError> {
    let mut choice = Fields::of(value, place)?;
    if choice.needed_text("type")? != "function" {
        return Err(choice.invalid("type", "must be `function`"));
    }
    let Some(mut function) = choice.object("function")? else {
        return Err(choice.invalid("function", "is missing"));
    };
    let name = function.needed_text("name")?;
    function.end()?;
    choice.end()?;
    Ok(name)
}

/// A call as the model writes one, for earlier answers in a conversation.
pub(super) fn written(name: &str, arguments: &str) -> String {
    format!("{OPENING}{{\"name\": {}, \"arguments\": {arguments}{CLOSING}", json!(name))
}

/// Splits an answer into its text and its calls. A call that the length limit has cut is left out.
pub(super) fn split(answer: &str) -> (&str, Vec<Call<'_>>) {
    let Some(at) = answer.find(OPENING) else { return (answer, Vec::new()) };
    let (text, mut rest) = answer.split_at(at);
    let mut calls = Vec::new();
    while let Some((call, after)) = first_call(rest) {
        calls.push(call);
        rest = after.trim_start();
    }
    (text, calls)
}

fn first_call(text: &str) -> Option<(Call<'_>, &str)> {
    let (name, rest) =
        text.strip_prefix(OPENING)?.strip_prefix("{\"name\": \"")?.split_once("\", \"arguments\": ")?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let (arguments, rest) = rest.split_at(values.byte_offset());
    Some((Call { name, arguments }, rest.strip_prefix(CLOSING)?))
}

/// The part of an unfinished answer that is certainly text: not a call, nor the beginning of its mark.
pub(super) fn certain_text(answer: &str) -> &str {
    if let Some(at) = answer.find(OPENING) {
        return &answer[..at];
    }
    let begun = (1..OPENING.len()).rev().find(|&length| answer.ends_with(&OPENING[..length]));
    &answer[..answer.len() - begun.unwrap_or(0)]
}
