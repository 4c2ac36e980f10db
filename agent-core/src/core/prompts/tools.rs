//! Lists of tools, their answers, memories and warnings inside other prompts.

use super::outside::{lesson, name_from_outside};
use super::{prompt, push_line};
use crate::model::Recalled;
use serde_json::{Map, Value, json};
use sojourn_controller::Part;
use sojourn_tools::outside::quote;
use sojourn_tools::outside::text::cut;
use sojourn_tools::schema::{embedded, without_texts};
use sojourn_tools::{Parameter, ParameterKind, ToolSpec, signature};
use std::collections::BTreeSet;

/// Most tokens of an answer that names an option with its arguments.
const CHOICE_TOKENS: u32 = 48;
/// Most tokens of an answer that may hold the arguments of a tool outside the world.
const CONSULT_TOKENS: u32 = 256;

/// Limit on the description of a tool whose texts others wrote, in characters.
const MAX_DESCRIPTION: usize = 1000;
/// Limits on such a tool's parameters, on the choices of one, and on the length of a choice in characters.
const MAX_PARAMETERS: usize = 30;
const MAX_CHOICES: usize = 30;
const MAX_CHOICE: usize = 100;
/// Limit on a default value in such a tool's signature, in bytes.
const MAX_DEFAULT: usize = 200;

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
    /// Whether the notices are quoted, which logs of earlier rules lack.
    pub notices_quoted: bool,
}

impl Consultable {
    pub(super) fn append(&self, text: &mut String) {
        for notice in &self.notices {
            let line = if self.notices_quoted {
                prompt!("tools", "notice_from_outside", notice = quote::inline(notice))
            } else {
                prompt!("tools", "notice", notice = quote::one_line(notice))
            };
            push_line(text, &line);
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
                let schema = tool.input_schema();
                // Endpoints show the schema to their models.
                let schema = if tool.untrusted { without_texts(schema) } else { schema };
                let (reference, definition) = embedded(name, &schema);
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

/// One line for each tool, without a line break at the end. Before them stands what quotation marks mean, if others wrote the
/// texts of a tool.
pub(super) fn lines<'a>(tools: impl IntoIterator<Item = &'a ToolSpec>) -> String {
    let mut lines = Vec::new();
    let mut has_untrusted = false;
    for tool in tools {
        has_untrusted |= tool.untrusted;
        lines.push(line(tool));
    }
    if has_untrusted {
        lines.insert(0, prompt!("tools", "outside_inline"));
    }
    lines.join("\n")
}

fn line(tool: &ToolSpec) -> String {
    let (parameters, description) = if tool.untrusted {
        let shown = tool.parameters.iter().take(MAX_PARAMETERS).map(|parameter| Parameter {
            name: name_from_outside(&parameter.name),
            default: parameter.default.as_ref().map(shortened),
            kind: match &parameter.kind {
                ParameterKind::Choice(choices) => ParameterKind::Choice(
                    choices.iter().take(MAX_CHOICES).map(|choice| cut(choice, MAX_CHOICE)).collect(),
                ),
                other => other.clone(),
            },
        });
        (shown.collect(), quote::inline(&cut(&tool.description, MAX_DESCRIPTION)))
    } else {
        (tool.parameters.clone(), tool.description.clone())
    };
    let signature = signature(&tool.name, &parameters);
    let mut line = prompt!("tools", "tool", signature = signature, description = description);
    for parameter in &parameters {
        if let ParameterKind::Choice(choices) = &parameter.kind {
            let quoted: Vec<String> = choices.iter().map(|choice| quote::inline(choice)).collect();
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

/// A default as it is shown: one that is long is left out.
fn shortened(default: &Value) -> Value {
    if default.to_string().len() <= MAX_DEFAULT { default.clone() } else { "…".into() }
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

/// The warning after a time without progress.
pub(in crate::core) fn stuck(task: Option<&str>, minutes: u64) -> String {
    if let Some(task) = task {
        prompt!("tools", "stuck", task = task, minutes = minutes)
    } else {
        prompt!("tools", "stuck_without_a_task", minutes = minutes)
    }
}
