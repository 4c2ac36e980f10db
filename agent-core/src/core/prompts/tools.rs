//! Lists of tools, their answers, memories and warnings inside other prompts.

use super::outside::lesson;
use super::{prompt, push_line};
use crate::model::Recalled;
use serde_json::{Map, Value, json};
use sojourn_controller::Part;
use sojourn_tools::outside::quote;
use sojourn_tools::schema::embedded;
use sojourn_tools::{ParameterKind, ToolSpec, signature};
use std::collections::BTreeSet;

/// Most tokens of an answer that names an option with its arguments.
const CHOICE_TOKENS: u32 = 48;
/// Most tokens of an answer that may hold the arguments of a tool outside the world.
const CONSULT_TOKENS: u32 = 256;

/// Tools outside the world, as the controller sees them.
#[derive(Debug, Default)]
pub(in crate::core) struct Consultable {
    /// Tools on offer.
    pub tools: Vec<ToolSpec>,
    /// Names of tools whose schema the grammar cannot enforce: their arguments are validated after the answer.
    pub unconstrained: BTreeSet<String>,
    /// Calls made in this episode as JavaScript, each with the text of its answer.
    pub answers: Vec<(String, String)>,
    /// What happened to tools since the controller was last asked.
    pub notices: Vec<String>,
}

impl Consultable {
    pub(super) fn append(&self, text: &mut String) {
        for notice in &self.notices {
            push_line(text, &prompt!("tools", "notice", notice = quote::one_line(notice)));
        }
        if !self.answers.is_empty() {
            push_line(text, &prompt!("tools", "answers"));
            for (call, words) in &self.answers {
                push_line(text, &prompt!("tools", "answered_call", call = call));
                push_line(text, &quote::block(words));
            }
        }
        if !self.tools.is_empty() {
            push_line(text, &prompt!("tools", "offer"));
            push_line(text, &lines(&self.tools));
        }
    }

    /// The schema of an answer that takes one of `options` or calls a tool, and the most tokens it may have.
    pub(super) fn schema(&self, mut options: Vec<Value>) -> (Value, u32) {
        if self.tools.is_empty() {
            return (json!({"anyOf": options}), CHOICE_TOKENS);
        }
        let mut definitions = Map::new();
        for tool in &self.tools {
            let name = &tool.name;
            let args = if self.unconstrained.contains(name) {
                json!({"type": "object"})
            } else {
                let (reference, definition) = embedded(name, &tool.input_schema());
                definitions.insert(name.clone(), definition);
                reference
            };
            options.push(json!({
                "type": "object",
                "properties": {"tool": {"const": name}, "args": args},
                "required": ["tool", "args"],
                "additionalProperties": false,
            }));
        }
        (json!({"anyOf": options, "$defs": definitions}), CONSULT_TOKENS)
    }
}

/// One line for each tool, without a line break at the end.
pub(super) fn lines<'a>(tools: impl IntoIterator<Item = &'a ToolSpec>) -> String {
    let lines: Vec<String> = tools.into_iter().map(line).collect();
    lines.join("\n")
}

fn line(tool: &ToolSpec) -> String {
    let signature = signature(&tool.name, &tool.parameters);
    let mut line = prompt!("tools", "tool", signature = signature, description = tool.description);
    for parameter in &tool.parameters {
        if let ParameterKind::Choice(choices) = &parameter.kind {
            let quoted: Vec<String> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
            line.push(' ');
            line.push_str(&prompt!(
                "tools",
                "choices",
                parameter = parameter.name,
                choices = quoted.join(", "),
            ));
        }
    }
    // A description from elsewhere must not look like another line of the prompt.
    quote::one_line(&line)
}

/// Recalled memories, as parts that a prompt which is too long can do without: the memory recalled last goes first.
pub(super) fn memories(memories: &[Recalled]) -> Vec<Part> {
    let mut parts: Vec<Part> = memories
        .iter()
        .map(|memory| {
            let text = lesson(&memory.text, memory.untrusted);
            Part::droppable(format!("{}\n", prompt!("tools", "memory", memory = text)), 1)
        })
        .collect();
    if let Some(first) = parts.first_mut() {
        first.text.insert_str(0, &format!("{}\n", prompt!("tools", "remember")));
    }
    parts
}

/// The warning after a repetition.
pub(in crate::core) fn nudge(call: &str, times: u32) -> String {
    prompt!("tools", "nudge", call = call, times = times)
}
